"""Series of numbers from files: `.ts`, tables, Parquet, arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import Channels, DataSpec
from seqzoo.contracts.survey import Survey, measure_steps
from seqzoo.data.batching.bucketing import Plans, padding_share
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.channels import constant_channels, fit_channels, model_inputs
from seqzoo.data.checks import check_at_least_one, check_fractions
from seqzoo.data.examples import evenly, label_codec
from seqzoo.data.files.base import LISTED, Files
from seqzoo.data.sources.detection import find_dialect
from seqzoo.data.sources.reading import read_text
from seqzoo.data.sources.series_content import Columns, Series, SeriesFile
from seqzoo.data.sources.series_formats import Format, form_by_name, is_text, read_series
from seqzoo.data.splits import SPLITS, held_out_keys

EXPECTED_CHANNELS, EXPECTED_CLASSES = 100, 100
"""Sizes that are assumed before a file has been read."""


class Row(NamedTuple):
    """A sequence: inputs (T, I), and the id of its class (), the ids of its tags (T,), or a number (1,)."""

    inputs: Tensor
    target: Tensor


@dataclass(eq=False, kw_only=True)
class SeriesFiles(Files):
    """Series with a label each, or with a label per step. Inputs (B, T, I), targets (B,) or (B, T).

    Whether labels are those of series or of steps follows from the files. Inputs are scaled by mean and standard
    deviation of the training split; `seqzoo.data.channels` says how missing values and times become inputs.

    Args:
        train: the file of the training split.
        validation: the file of the validation split; None: it is held out of the training split.
        test: the file of the test split; None: it is held out of the training split, or there is none.
        format: ts, of the UEA and UCR archive; long: a table with a row per step; wide: a table with a row per series;
            array: `.npy` or `.npz`; auto: found from name and content.
        series_column, time_column, label_column, value_columns: see `seqzoo.data.sources.series.Columns`.
        nan_is_missing: whether NaN is a missing value; otherwise it is an error.
        scale: whether inputs are scaled.
        validation_fraction: share of the training series that is held out for validation, of each class alike.
        test_fraction: the same for the test.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "validation_fraction": "validation=null",
        "test_fraction": "test=null",
        "series_column": "format=auto,long,wide",
        "time_column": "format=auto,long",
        "label_column": "format=auto,long,wide",
        "value_columns": "format=auto,long",
    }

    train: str
    validation: str | None = None
    test: str | None = None
    format: Literal["auto", "ts", "long", "wide", "array"] = "auto"
    series_column: str | int | None = None
    time_column: str | int | None = None
    label_column: str | int | None = None
    value_columns: list[str | int] | None = None
    nan_is_missing: bool = False
    scale: bool = True
    validation_fraction: float = 0.2
    test_fraction: float = 0.0
    batch_size: int = 16
    limit: int | None = None
    seed: int = 0

    numbers = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "batch_size", "limit")
        check_fractions(self)
        self._rows: dict[str, list[Row]] = {}

    def expected_spec(self) -> DataSpec:
        return DataSpec("", EXPECTED_CHANNELS, EXPECTED_CLASSES)

    def survey(self) -> Survey:
        _, series, spec = self._prepared()
        lengths = [len(one.values) for one in series["train"]]
        counts = sorted(spec.class_counts or (), reverse=True)
        held_out = len(series["validation"])
        return Survey(spec.kind, len(lengths), held_out, measure_steps(lengths), classes=counts, numbers=True)

    def load(self, spec: DataSpec | None = None) -> None:
        channels, series, fitted = self._prepared()
        saved = None if spec is None or spec.channels is None else spec.channels.names
        if spec is not None and (spec.kind != fitted.kind or saved is None or len(saved) != len(channels)):
            raise DataError("the saved run was trained on data of another kind or size: choose other data")
        self.spec = spec or fitted
        self._rows = {split: [self._row(one) for one in evenly(part, self.limit)] for split, part in series.items()}
        self._plans = Plans(self.splits(), self._lengths, self.seed, self.batch_size)

    def splits(self) -> dict[str, int]:
        return {split: len(rows) for split, rows in self._rows.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return self._plans.number(split, epoch)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for places in self._plans.of(split, epoch)[start:]:
            yield self._batch([self._rows[split][place] for place in places])

    def plain_batches(self, split: str) -> Iterator[Batch]:
        """In the order of the data, whatever the seed."""
        rows = self._rows[split]
        for start in range(0, len(rows), self.batch_size):
            yield self._batch(rows[start : start + self.batch_size])

    def padding_share(self) -> float:
        return padding_share(self._lengths("train", 0), self._plans.of("train", 0))

    def _lengths(self, split: str, epoch: int) -> list[int]:
        return [len(row.inputs) for row in self._rows[split]]

    def _batch(self, rows: Sequence[Row]) -> Batch:
        lengths = torch.tensor([len(row.inputs) for row in rows])
        inputs = pad_sequence([row.inputs for row in rows], batch_first=True)
        targets = [row.target for row in rows]
        joined = pad_sequence(targets, batch_first=True) if self.spec.kind == "tagging" else torch.stack(targets)
        return Batch(inputs, lengths, joined, padded=is_padded(lengths))

    def _prepared(self) -> tuple[list[str], dict[str, list[Series]], DataSpec]:
        """The names of the channels, the series of each split, and the spec of the training split."""
        self._detected = {}
        files = self._read_files()
        series = self._split(files)
        self.remarks = self.statements()
        return files["train"].channels, series, self._fit(files["train"], series)

    def _read_files(self) -> dict[str, SeriesFile]:
        """The files of the splits, which have the same channels and the same kind of labels."""
        files = {split: self._read_file(name) for split in SPLITS if (name := getattr(self, split)) is not None}
        train = files["train"]
        for split, file in files.items():
            if len(file.channels) != len(train.channels):
                raise DataError(
                    f"{getattr(self, split)} has {len(file.channels)} channels, but {self.train} has "
                    f"{len(train.channels)}: give files of the same channels"
                )
        return files

    def read_unlabelled(self, name: str) -> list[Series]:
        """The series of a file, whose labels are not needed."""
        return self._read_file(name, labelled=False).series

    def _read_file(self, name: str, labelled: bool = True) -> SeriesFile:
        path = self.path(name)
        form: Format | None = form_by_name(path) if self.format == "auto" else self.format
        encoding, dialect = "utf-8", None
        if is_text(path, form):
            encoding = self.encoding_of(path)
        if form not in ("ts", "array") and is_text(path, form):
            dialect = find_dialect(path, read_text(path, encoding))
        columns = Columns(self.series_column, self.time_column, self.label_column, self.value_columns)
        file = read_series(path, columns, encoding, form, dialect, self.nan_is_missing, labelled)
        self.state(path, file.form)
        return file

    def _split(self, files: dict[str, SeriesFile]) -> dict[str, list[Series]]:
        """The series of each split."""
        series = {split: file.series for split, file in files.items()}
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        missing = {split: share for split, share in fractions.items() if split not in series and share}
        whole = series["train"]
        labels = {place: one.label for place, one in enumerate(whole) if isinstance(one.label, str)}
        split_of = held_out_keys(range(len(whole)), missing, labels if len(labels) == len(whole) else None)
        for split in ("train", *missing):
            series[split] = [one for place, one in enumerate(whole) if split_of.get(place, "train") == split]
        for split in ("train", "validation"):
            if not series.get(split):
                option = "data.train" if split == "train" else "data.validation, or raise data.validation_fraction"
                raise DataError(f"the {split} split of the data has no series: give more with {option}")
        return {split: series[split] for split in SPLITS if series.get(split)}

    def _fit(self, file: SeriesFile, series: dict[str, list[Series]]) -> DataSpec:
        """The spec of the training split; file: its file."""
        values, times = [one.values for one in series["train"]], [one.times for one in series["train"]]
        if constant := constant_channels(file.channels, values):
            listed = ", ".join([*constant[:LISTED], *["..."] * (len(constant) > LISTED)])
            self.remarks = [*self.remarks, f"channels that do not vary in the training split: {listed}"]
        channels = fit_channels(file.channels, values, times, self.scale)
        if file.numeric:
            return DataSpec("regression", channels.input_size, 1, channels=channels)
        per_step = any(isinstance(one.label, list) for one in chain.from_iterable(series.values()))
        counts = Counter(label for one in series["train"] for label in labels_of(one, per_step))
        where = {label: one.where for part in series.values() for one in part for label in labels_of(one, per_step)}
        if len(counts) < 2:
            raise DataError(
                f"every training series has the label {min(counts)!r}: give examples of two classes or more"
            )
        if unseen := [label for label in where if label not in counts]:
            listed = ", ".join([*(f"{label} at {where[label]}" for label in unseen[:3]), *["..."] * (len(unseen) > 3)])
            self.remarks = [*self.remarks, f"labels that do not occur in training and cannot be predicted: {listed}"]
        codec = label_codec({**dict.fromkeys(file.classes, self.train), **where})
        kind = "tagging" if per_step else "classification"
        numbers = None if per_step else [counts[label] for label in codec.labels]
        return DataSpec(kind, channels.input_size, codec.size, targets=codec, class_counts=numbers, channels=channels)

    def _row(self, one: Series) -> Row:
        channels: Channels = self.spec.channels  # type: ignore[assignment]
        inputs = model_inputs(one.values, one.times, channels).to(self.float_type)
        if self.spec.kind == "regression":
            return Row(inputs, torch.tensor([float(str(one.label))], dtype=self.float_type))
        per_step = self.spec.kind == "tagging"
        try:
            ids = torch.tensor(self.spec.target_codec.encode(labels_of(one, per_step)))
        except DataError as error:
            raise DataError(f"{one.where}: {error}") from None
        return Row(inputs, ids if per_step else ids[0])


def labels_of(one: Series, per_step: bool) -> list[str]:
    """The label of a series, or the label of each of its steps."""
    if isinstance(one.label, list):
        return one.label
    return [str(one.label)] * (len(one.values) if per_step else 1)
