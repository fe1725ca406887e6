"""Files of series in all formats."""

from __future__ import annotations

from typing import Literal

from seqzoo.data.sources.packed import unpacked_name
from seqzoo.data.sources.reading import read_text
from seqzoo.data.sources.series_arrays import read_array
from seqzoo.data.sources.series_content import Columns, Numbers, SeriesFile
from seqzoo.data.sources.series_tables import form_of, parquet_table, read_long, read_wide, text_table
from seqzoo.data.sources.tables import Dialect, dialect_by_name
from seqzoo.data.sources.ts_files import read_ts

Format = Literal["ts", "long", "wide", "array"]
_BY_NAME: dict[str, Format] = {"ts": "ts", "npy": "array", "npz": "array"}
PARQUET = "parquet"


def form_by_name(path: str) -> Format | None:
    """The form of a file by its suffix; None: it is a table, whose columns tell."""
    return _BY_NAME.get(_suffix(path))


def is_text(path: str, form: Format | None) -> bool:
    """Whether a file of this form is text."""
    return form != "array" and _suffix(path) != PARQUET


def _suffix(path: str) -> str:
    return unpacked_name(path).rpartition(".")[2]


def read_series(
    path: str,
    columns: Columns,
    encoding: str = "utf-8",
    form: Format | None = None,
    dialect: Dialect | None = None,
    nan_is_missing: bool = False,
    labelled: bool = True,
    whole: bool = False,
) -> SeriesFile:
    """Read a file of series.

    Args:
        path: of the file; a compressed one is unpacked.
        columns: of a table.
        encoding: of a text file.
        form: of the file; None: of a table, found from its columns.
        dialect: of a table; None: that of its suffix.
        nan_is_missing: whether NaN is a missing value; otherwise it is an error.
        labelled: whether each series needs a label.
        whole: whether the rows of a table without a column of series, and those of an array, are steps of one series.

    Raises:
        DataError: a value is not a finite number, rows differ in their number of fields, times do not rise, a series
            has no label, or a column is missing; the message names file, line and column.
    """
    numbers = Numbers(nan_is_missing)
    if form == "ts":
        return read_ts(path, encoding, numbers, labelled)
    if form == "array":
        return read_array(path, numbers, labelled, whole)
    if _suffix(path) == PARQUET:
        table = parquet_table(path)
    else:
        table = text_table(path, read_text(path, encoding), dialect or dialect_by_name(path))
    return (read_long if (form or form_of(table, columns, whole)) == "long" else read_wide)(
        table, columns, numbers, labelled
    )
