"""Labelled series of numbers from files: `.ts`, tables, Parquet, arrays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import Channels, DataSpec
from seqzoo.contracts.survey import Survey, measure_steps
from seqzoo.data.channels import fit_channels, model_inputs
from seqzoo.data.files.series_base import EXPECTED_CHANNELS, Row, SeriesData
from seqzoo.data.label_codecs import check_classes, label_codec, unseen_labels
from seqzoo.data.sources.series_content import Columns, Series, SeriesFile
from seqzoo.data.splits import SPLITS, evenly, held_out_keys, missing_fractions, parted

EXPECTED_CLASSES = 100
"""Number of classes that is assumed before a file has been read."""


@dataclass(eq=False, kw_only=True)
class SeriesFiles(SeriesData):
    """Series with a label each, or with a label per step. Targets (B,) or (B, T).

    Whether labels are those of series or of steps follows from the files. Held-out splits have the same share of each
    class.

    Args:
        label_column: of a table, see `seqzoo.data.sources.series_content.Columns`.
    """

    acts_with: ClassVar[dict[str, str]] = {"label_column": "format=auto,long,wide"}

    label_column: str | int | None = None

    def columns(self) -> Columns:
        return replace(super().columns(), label=self.label_column)

    def expected_spec(self) -> DataSpec:
        return DataSpec("", EXPECTED_CHANNELS, EXPECTED_CLASSES)

    def survey(self) -> Survey:
        series, spec = self._prepared()
        lengths = [len(example.values) for example in series["train"]]
        counts = sorted(spec.class_counts or (), reverse=True)
        held_out = len(series["validation"])
        return Survey(spec.kind, len(lengths), held_out, measure_steps(lengths), classes=counts, numbers=True)

    def load(self, spec: DataSpec | None = None) -> None:
        series, fitted = self._prepared()
        if spec is not None:
            self._check_saved(spec, fitted)
        self.spec = spec or fitted
        self._cut({split: [*map(self._row, evenly(part, self.limit))] for split, part in series.items()})

    def _prepared(self) -> tuple[dict[str, list[Series]], DataSpec]:
        """The series of each split, and the spec of the training split."""
        self._detected = {}
        files = self._read_files()
        series = self._split(files)
        self.remarks = self.statements()
        return series, self._fit(files["train"], series)

    def _split(self, files: dict[str, SeriesFile]) -> dict[str, list[Series]]:
        """The series of each split."""
        series = {split: file.series for split, file in files.items()}
        missing, whole = missing_fractions(self, series), series["train"]
        labels = {place: example.label for place, example in enumerate(whole) if isinstance(example.label, str)}
        places = range(len(whole))
        split_of = held_out_keys(places, missing, labels if len(labels) == len(whole) else None)
        series |= parted(whole, places, split_of, missing)
        return {split: series[split] for split in SPLITS if series.get(split)}

    def _fit(self, file: SeriesFile, series: dict[str, list[Series]]) -> DataSpec:
        """The spec of the training split; file: its file."""
        values, times = [example.values for example in series["train"]], [example.times for example in series["train"]]
        self._remark_constant(file, values)
        channels = fit_channels(file.channels, values, times, self.scale)
        if file.numeric:
            return DataSpec("regression", channels.input_size, 1, channels=channels)
        everything = [*chain.from_iterable(series.values())]
        per_step = any(isinstance(example.label, list) for example in everything)
        counts = Counter(label for example in series["train"] for label in labels_of(example, per_step))
        where = {label: example.where for example in everything for label in labels_of(example, per_step)}
        check_classes(counts, "series")
        self.remarks = [*self.remarks, *unseen_labels(where, counts)]
        codec = label_codec({**dict.fromkeys(file.classes, self.train), **where})
        kind = "tagging" if per_step else "classification"
        numbers = None if per_step else [counts[label] for label in codec.labels]
        return DataSpec(kind, channels.input_size, codec.size, targets=codec, class_counts=numbers, channels=channels)

    def _row(self, example: Series) -> Row:
        channels: Channels = self.spec.channels  # type: ignore[assignment]
        inputs = model_inputs(example.values, example.times, channels).to(self.float_type)
        if self.spec.kind == "regression":
            return Row(inputs, torch.tensor([float(str(example.label))], dtype=self.float_type))
        per_step = self.spec.kind == "tagging"
        try:
            ids = torch.tensor(self.spec.target_codec.encode(labels_of(example, per_step)))
        except DataError as error:
            raise DataError(f"{example.where}: {error}") from None
        return Row(inputs, ids if per_step else ids[0])


def labels_of(example: Series, per_step: bool) -> list[str]:
    """The label of a series, or the label of each of its steps."""
    if isinstance(example.label, list):
        return example.label
    return [str(example.label)] * (len(example.values) if per_step else 1)
