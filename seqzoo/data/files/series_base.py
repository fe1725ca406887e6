"""The base of data sets of series from files: reading them, and batches of rows of different length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.bucketed_data import BucketedData
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.channels import constant_channels
from seqzoo.data.checks import check_filled
from seqzoo.data.files.base import LISTED, Files, GivenSplits
from seqzoo.data.sources.dialects import find_dialect
from seqzoo.data.sources.reading import read_text
from seqzoo.data.sources.series_content import Columns, Series, SeriesFile
from seqzoo.data.sources.series_formats import Format, form_by_name, is_text, read_series

EXPECTED_CHANNELS = 100
"""Number of channels that is assumed before a file has been read."""


class Row(NamedTuple):
    """A sequence of inputs (T, I) and its target: (), (T,), (D,) or (T, D); levels: see `Batch`."""

    inputs: Tensor
    target: Tensor
    levels: Tensor | None = None


@dataclass(eq=False, kw_only=True)
class SeriesData(GivenSplits, Files, BucketedData):
    """Series from files. Inputs (B, T, I) are scaled by mean and standard deviation of the training split;
    `seqzoo.data.channels` says how missing values and times become inputs.

    Args:
        format: ts, of the UEA and UCR archive; long: a table with a row per step; wide: a table with a row per series;
            array: `.npy` or `.npz`; auto: found from name and content.
        series_column, time_column, value_columns: see `seqzoo.data.sources.series_content.Columns`.
        nan_is_missing: whether NaN is a missing value; otherwise it is an error.
        scale: whether inputs are scaled.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "series_column": "format=auto,long,wide",
        "time_column": "format=auto,long",
        "value_columns": "format=auto,long",
    }

    format: Literal["auto", "ts", "long", "wide", "array"] = "auto"
    series_column: str | int | None = None
    time_column: str | int | None = None
    value_columns: list[str | int] | None = None
    nan_is_missing: bool = False
    scale: bool = True
    validation_fraction: float = 0.2
    batch_size: int = 16

    numbers = True
    labelled: ClassVar[bool] = True
    """Whether series need labels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._rows: dict[str, list[Row]] = {}

    def row_lengths(self, split: str, epoch: int) -> list[int]:
        return [len(row.inputs) for row in self._rows[split]]

    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        inputs = [self._rows[split][row].inputs for row in rows]
        targets = [self._rows[split][row].target for row in rows]
        lengths = torch.tensor([len(values) for values in inputs])
        per_step = self.spec.kind == "tagging" or self.spec.per_step
        joined = pad_sequence(targets, batch_first=True) if per_step else torch.stack(targets)
        levels = [level for row in rows if (level := self._rows[split][row].levels) is not None]
        return Batch(
            pad_sequence(inputs, batch_first=True),
            lengths,
            joined,
            padded=is_padded(lengths),
            levels=torch.stack(levels) if levels else None,
        )

    def _read_files(self) -> dict[str, SeriesFile]:
        """The files of the splits, which have the same channels and the same kind of labels."""
        files = {split: self._read_file(name, self.labelled) for split, name in self.given().items()}
        train = files["train"]
        for split, file in files.items():
            if len(file.channels) != len(train.channels):
                raise DataError(
                    f"{getattr(self, split)} has {counted(len(file.channels), 'channel')}, but {self.train} has "
                    f"{len(train.channels)}: give files of the same channels"
                )
        return files

    def read_unlabelled(self, name: str) -> list[Series]:
        """The series of a file, whose labels are not needed."""
        return self._read_file(name, labelled=False).series

    def columns(self) -> Columns:
        """The columns of tables."""
        return Columns(self.series_column, self.time_column, values=self.value_columns)

    def _read_file(self, name: str, labelled: bool) -> SeriesFile:
        path = self.path(name)
        form: Format | None = form_by_name(path) if self.format == "auto" else self.format
        encoding, dialect = "utf-8", None
        if is_text(path, form):
            encoding = self.encoding_of(path)
        if form not in ("ts", "array") and is_text(path, form):
            dialect = find_dialect(path, read_text(path, encoding))
        file = read_series(
            path, self.columns(), encoding, form, dialect, self.nan_is_missing, labelled, not self.labelled
        )
        self.state(path, file.form)
        return file

    def _remark_constant(self, file: SeriesFile, values: Sequence[Tensor]) -> None:
        """Remark on channels that do not vary; values: of the series of the training split."""
        if constant := constant_channels(file.channels, values):
            listed = ", ".join([*constant[:LISTED], *["..."] * (len(constant) > LISTED)])
            self.remarks = [*self.remarks, f"channels that do not vary in the training split: {listed}"]

    def _check_saved(self, spec: DataSpec, fitted: DataSpec) -> None:
        """Raise DataError if the spec of a saved run does not fit the data."""
        names = [None if part.channels is None else len(part.channels.names) for part in (spec, fitted)]
        if (spec.kind, spec.output_size if spec.per_step else 0, names[0]) != (
            fitted.kind,
            fitted.output_size if fitted.per_step else 0,
            names[1],
        ):
            raise DataError("the saved run was trained on data of another kind or size: choose other data")

    def _cut(self, rows: dict[str, list[Row]]) -> None:
        """Set the rows of each split."""
        check_filled(self, rows, "series")
        self._rows = rows
        self.plan_batches({split: len(of_split) for split, of_split in rows.items()})
