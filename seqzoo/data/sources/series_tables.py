"""Series from tables: a row per step, or a row per series; also from Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy
import torch

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.packed import read_bytes
from seqzoo.data.sources.series_content import (
    MISSING,
    Columns,
    Numbers,
    Series,
    SeriesFile,
    check_rising,
    parse_time,
)
from seqzoo.data.sources.tables import Dialect, split_rows

SERIES_NAMES = (
    "series",
    "series_id",
    "sequence",
    "sequence_id",
    "case",
    "case_id",
    "unique_id",
    "id",
    "unit",
    "sample",
)
TIME_NAMES = ("time", "timestamp", "datetime", "date", "ds", "t", "step")
LABEL_NAMES = ("label", "class", "category", "activity")
"""Names of columns, the more certain ones first."""

LISTED = 4
"""Columns that a message lists."""


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        path: of the file.
        header: names of the columns; None: it has no header.
        rows: the fields of each row.
        lines: the line number of each row, or for Parquet its number.
        name: of what `lines` counts, before the number: ":" or ", row ".
        form: how the file was read.
    """

    path: str
    header: list[str] | None
    rows: list[list[str]]
    lines: list[int]
    name: str
    form: str

    def where(self, row: int) -> str:
        return f"{self.path}{self.name}{self.lines[row]}"

    @property
    def width(self) -> int:
        return len(self.rows[0])

    def title(self, column: int) -> str:
        """The name of a column for messages and channels."""
        return self.header[column] if self.header else f"column {column}"

    def place(self, column: str | int, option: str) -> int:
        """The index of a column that an option names."""
        if isinstance(column, int):
            if not -self.width <= column < self.width:
                raise DataError(
                    f"{self.path} has no column {column} (data.{option}): it has {self.width}, counted from 0"
                )
            return column % self.width
        names = self.header or []
        if names.count(column) != 1:
            problem = "several columns" if column in names else "no column"
            advice = closest(column, names) if self.header else ": it has no header, give a zero-based index"
            raise DataError(f"{self.path} has {problem} {column!r} (data.{option}){advice}")
        return names.index(column)

    def find(self, column: str | int | None, option: str, names: Sequence[str]) -> int | None:
        """The index of a column that an option names or, without, that has one of these names."""
        if column is not None:
            return self.place(column, option)
        lowered = [name.lower() for name in self.header or []]
        return next((lowered.index(name) for name in names if name in lowered), None)

    def label(self, columns: Columns, needed: bool) -> int | None:
        """The index of the column of labels; without a header the first one, as in the UCR archive."""
        place = self.find(columns.label, "label_column", LABEL_NAMES)
        if not needed:
            return place
        if place is None and self.header is not None:
            listed = ", ".join([*self.header[:LISTED], *["..."] * (len(self.header) > LISTED)])
            raise DataError(
                f"{self.path} has no column of labels that is known by its name ({listed}): set data.label_column, "
                "or forecast the values with data=forecast_files"
            )
        return place or 0


def text_table(path: str, text: str, dialect: Dialect) -> Table:
    numbered = list(split_rows(path, text, dialect))
    if not numbered:
        raise DataError(f"{path} has no rows: give a file with rows")
    rows = [[field.strip() for field in fields] for _, fields in numbered]
    header = rows[0] if _is_header(rows[0]) else None
    lines = [number for number, _ in numbered]
    if header is not None:
        rows, lines = rows[1:], lines[1:]
        if not rows:
            raise DataError(f"{path} has a header and no rows: give a file with rows")
    table = Table(path, header, rows, lines, ":", str(dialect))
    width = len(header or rows[0])
    for row, fields in enumerate(rows):
        if header is not None and len(fields) != width:
            raise DataError(
                f"{table.where(row)}: the row has {counted(len(fields), 'field')}, the header has {width}: an empty "
                "field also needs its separator"
            )
    return table


def parquet_table(path: str) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise DataError(f"{path} needs pyarrow: pip install 'seqzoo[series]'") from None
    try:
        content = parquet.read_table(io.BytesIO(read_bytes(path)))
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file that can be read ({str(error)[:80]})") from None
    columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in content.columns]
    if not content.num_rows:
        raise DataError(f"{path} has no rows: give a file with rows")
    rows = [list(fields) for fields in zip(*columns, strict=True)]
    return Table(path, list(content.column_names), rows, [*range(1, len(rows) + 1)], ", row ", "Parquet table")


def form_of(table: Table, columns: Columns, whole: bool) -> Literal["long", "wide"]:
    """Whether rows are steps (long) or whole series (wide); whole: as of `read_series`."""
    if whole:
        return "long"
    if table.header is None:
        return "wide"
    keyed = table.find(columns.series, "series_column", SERIES_NAMES)
    if keyed is not None and len({row[keyed] for row in table.rows}) < len(table.rows):
        return "long"
    timed = table.find(columns.time, "time_column", TIME_NAMES) is not None
    return "long" if timed or columns.values is not None else "wide"


def read_long(table: Table, columns: Columns, numbers: Numbers, labelled: bool) -> SeriesFile:
    """A row per step."""
    key = table.find(columns.series, "series_column", SERIES_NAMES)
    time = table.find(columns.time, "time_column", TIME_NAMES)
    label = table.label(columns, labelled)
    special = {key, time, label}
    if columns.values is not None:
        channels = [table.place(column, "value_columns") for column in columns.values]
    else:
        channels = [place for place in range(table.width) if place not in special]
    if not channels:
        raise DataError(f"{table.path} has no column of values: set data.value_columns")
    if key is None:
        groups = {"": list(range(len(table.rows)))}
    else:
        groups = {}
        for row, fields in enumerate(table.rows):
            groups.setdefault(fields[key], []).append(row)
    numbers = replace(numbers, if_text="choose columns by data.value_columns, and that of times by data.time_column")
    parsed = numpy.stack([_channel(table, place, numbers) for place in channels], 1)
    series = []
    for rows in groups.values():
        times = None
        if time is not None:
            read = [parse_time(table.rows[row][time], _cell(table, row, time)) for row in rows]
            check_rising(read, [table.rows[row][time] for row in rows], [table.where(row) for row in rows])
            times = torch.tensor(read, dtype=torch.float64)
        labels = [_label(table, row, label) for row in rows] if label is not None else None
        of_series = labels[0] if labels is not None and len(set(labels)) == 1 else labels
        series.append(Series(torch.from_numpy(parsed[rows]), of_series, times, table.where(rows[0])))
    form = f"{table.form}, one row per step, {counted(len(series), 'series', 'series')}"
    return SeriesFile(series, [table.title(place) for place in channels], [], False, form)


def _channel(table: Table, place: int, numbers: Numbers) -> numpy.ndarray:
    return numbers.array([row[place] for row in table.rows], lambda row: _cell(table, row, place))


def read_wide(table: Table, columns: Columns, numbers: Numbers, labelled: bool) -> SeriesFile:
    """A row per series of one channel. Missing values at the end of a row are no steps."""
    key = table.find(columns.series, "series_column", SERIES_NAMES)
    label = table.label(columns, labelled)
    series = []
    for row, fields in enumerate(table.rows):
        places = [place for place in range(len(fields)) if place not in (key, label)]
        while places and (fields[places[-1]] in MISSING or fields[places[-1]].lower() == "nan"):
            places.pop()
        if not places:
            raise DataError(f"{table.where(row)}: the row has no values: remove it")
        cells = [_cell(table, row, place) for place in places]
        values = numbers.array([fields[place] for place in places], cells.__getitem__)
        text = None if label is None else _label(table, row, label)
        series.append(Series(torch.from_numpy(values)[:, None], text, None, table.where(row)))
    return SeriesFile(series, ["value"], [], False, f"{table.form}, one row per series")


def _label(table: Table, row: int, place: int) -> str:
    label = table.rows[row][place]
    if not label:
        raise DataError(f"{_cell(table, row, place)} is empty: give each row a label")
    return label


def _cell(table: Table, row: int, place: int) -> str:
    """The place of a field in messages."""
    column = table.title(place)
    return f"{table.where(row)}: {column if table.header is None else f'column {column!r}'}"


def _is_header(fields: Sequence[str]) -> bool:
    """Whether the fields of the first row are names of columns: they have no number, or one of them is a known name.

    Names of columns may be numbers, as those of steps, and a label without a header may be a word.
    """
    known = {name for name in (*SERIES_NAMES, *TIME_NAMES, *LABEL_NAMES) if len(name) > 2}
    return not any(_is_number(field) for field in fields) or any(field.lower() in known for field in fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in MISSING
    return True
