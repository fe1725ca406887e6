"""Series from files whose next values are predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from seqzoo.contracts.errors import DataError, closest
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.survey import Survey, measure_steps
from seqzoo.data.channels import between_windows, fit_channels, model_inputs, relative, scale
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.files.series_base import EXPECTED_CHANNELS, Row, SeriesData
from seqzoo.data.sources.series_content import Series, SeriesFile
from seqzoo.data.splits import SPLITS, evenly, missing_fractions


class Part(NamedTuple):
    """The part of a series that belongs to a split.

    Attributes:
        series: the whole series.
        begin, end: the steps that are predicted. Those before `begin` are read.
    """

    series: Series
    begin: int
    end: int


@dataclass(eq=False, kw_only=True)
class ForecastFiles(SeriesData):
    """Windows of series, with the next values as targets: inputs (B, T, I), targets (B, T, D).

    Without files of their own, the last steps of each series are the test split, and those before them the validation
    split. A window reads steps before those of its split, but predicts none of them, and the training split has nothing
    of the later ones: neither in its windows nor in the scaling.

    With `folds`, the same holds for an earlier end of the series: the test splits of the folds follow each other
    (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, section 5.10, https://otexts.com/fpp3/tscv.html).

    The rows of the held-out splits end with `horizon` steps that are forecast, one forecast after the other (walk
    forward). In training, windows overlap by three quarters.

    Args:
        targets: the channels that are predicted; None: all. The other channels must be known in advance, such as the
            day of the week: each prediction reads them up to the step that it is for.
        horizon: number of steps that are forecast.
        window: number of steps that are read before a forecast.
        relative: whether the forecast channels of each row are relative to its first step.
        folds: number of test splits, each of `test_fraction`, which follow each other at the end of each series
            (rolling origin). None: one.
        fold: which of them is the test split, from 0; nothing after it is read, so that earlier folds train on less.
    """

    acts_with: ClassVar[dict[str, str]] = {**SeriesData.acts_with, "folds": "test=null", "fold": "folds!=null"}

    targets: list[str] | None = None
    horizon: int = 1
    window: int = 100
    relative: bool = False
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    folds: int | None = None
    fold: int = 0

    labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "horizon", "window", "folds")
        if not 0 <= self.fold < (self.folds or 1):
            raise ValueError(f"fold={self.fold} must be at least 0 and below folds={self.folds or 1}")
        if self.folds is None:
            return
        if self.test is not None or not self.test_fraction:
            raise ValueError(
                f"folds={self.folds} are splits of {self.train}, each of test_fraction: set that, and leave out test"
            )
        if self.folds * self.test_fraction + self.validation_fraction >= 1:
            raise ValueError(
                f"folds={self.folds} of test_fraction={self.test_fraction} and validation_fraction="
                f"{self.validation_fraction} leave no steps to train on: lower one of them"
            )

    def expected_spec(self) -> DataSpec:
        return DataSpec("regression", EXPECTED_CHANNELS, len(self.targets or ()) or 1, per_step=True, next_values=True)

    def survey(self) -> Survey:
        parts, spec = self._prepared()
        rows = {split: [*self._windows(split, of_split)] for split, of_split in parts.items()}
        lengths = [end - begin for _, begin, end in rows["train"]]
        held_out = len(rows.get("validation", ())) * self.horizon
        series = [part.series.values[: part.end, : spec.output_size] for part in parts["train"]]
        return Survey(
            "regression",
            len(lengths),
            held_out,
            measure_steps(lengths),
            numbers=True,
            ahead=True,
            wandering=between_windows(series, self.window),
        )

    def load(self, spec: DataSpec | None = None) -> None:
        parts, fitted = self._prepared()
        if spec is not None:
            self._check_saved(spec, fitted)
        self.spec = spec or fitted
        self._cut({split: self._rows_of(split, of_split) for split, of_split in parts.items()})

    def _prepared(self) -> tuple[dict[str, list[Part]], DataSpec]:
        """The parts of each split, and the spec of the training split."""
        self._detected = {}
        files = {split: self._in_order(file) for split, file in self._read_files().items()}
        self.remarks = self.statements()
        parts = self._split(files)
        train = files["train"]
        if all(part.end <= part.begin for part in parts["train"]):
            raise self._too_short("train", parts["train"])
        values = [part.series.values[: part.end] for part in parts["train"]]
        times = [None if part.series.times is None else part.series.times[: part.end] for part in parts["train"]]
        self._remark_constant(train, values)
        size = len(train.channels) if self.targets is None else len(self.targets)
        window = self.window if self.relative else None
        channels = fit_channels(train.channels, values, times, self.scale, window, size)
        channels = replace(channels, ahead=len(train.channels) - size)
        return parts, DataSpec(
            "regression", channels.input_size, size, per_step=True, channels=channels, next_values=True
        )

    def read_unlabelled(self, name: str) -> list[Series]:
        return self._in_order(self._read_file(name, labelled=False)).series

    def _in_order(self, file: SeriesFile) -> SeriesFile:
        """The channels that are predicted before the others."""
        if self.targets is None:
            return file
        for name in self.targets:
            if name not in file.channels:
                raise DataError(f"there is no channel {name!r} (data.targets){closest(name, file.channels)}")
        names = [*self.targets, *(name for name in file.channels if name not in self.targets)]
        places = [file.channels.index(name) for name in names]
        series = [each._replace(values=each.values[:, places]) for each in file.series]
        return file._replace(series=series, channels=names)

    def _split(self, files: dict[str, SeriesFile]) -> dict[str, list[Part]]:
        missing = missing_fractions(self, files)
        parts: dict[str, list[Part]] = {split: [] for split in SPLITS}
        later = 0 if self.folds is None else self.folds - 1 - self.fold
        for whole in files["train"].series:
            end = max(0, len(whole.values) - later * round(self.test_fraction * len(whole.values)))
            for split in reversed(missing):  # the last steps are the test split
                begin = max(0, end - round(missing[split] * len(whole.values)))
                parts[split].append(Part(whole, max(1, begin), end))
                end = begin
            parts["train"].append(Part(whole, 1, end))
        for split in files.keys() - {"train"}:
            for whole in files[split].series:
                end = len(whole.values)
                parts[split].append(Part(whole, max(1, min(self.window, end - self.horizon)), end))
        return {split: of_split for split, of_split in parts.items() if of_split}

    def _windows(self, split: str, parts: list[Part]) -> Iterator[tuple[Series, int, int]]:
        """The first step of each row, and that after its last target."""
        length = self.window + self.horizon
        for series, begin, end in parts:
            if split == "train":
                last = max(end - length, 0)
                for start in sorted({*range(0, last, max(1, length // 4)), last}):
                    if min(start + length, end) - start > self.horizon:
                        yield series, start, min(start + length, end)
            else:
                for origin in range(begin, end - self.horizon + 1, self.horizon):
                    yield series, max(0, origin - self.window), origin + self.horizon

    def _rows_of(self, split: str, parts: list[Part]) -> list[Row]:
        channels = self.spec.channels
        assert channels is not None, "the spec of this data has channels"
        inputs = {id(part.series): model_inputs(part.series.values, part.series.times, channels) for part in parts}
        scaled = {id(part.series): scale(part.series.values, channels)[:, : self.spec.output_size] for part in parts}
        rows = []
        for series, begin, end in self._windows(split, parts):
            row, targets, levels = inputs[id(series)][begin : end - 1], scaled[id(series)][begin + 1 : end], None
            if self.relative:
                row, levels = relative(row, self.spec.output_size)
                targets, levels = targets - levels, levels.to(self.float_type)
            rows.append(Row(row.to(self.float_type), targets.to(self.float_type), levels))
        if not rows:
            raise self._too_short(split, parts)
        return evenly(rows, self.limit)

    def _too_short(self, split: str, parts: list[Part]) -> DataError:
        longest = max(0, *(part.end - part.begin for part in parts))
        return DataError(
            f"the {split} split of each series has up to {longest} steps, too few to forecast "
            f"data.horizon={self.horizon}: lower it, or give longer series"
        )
