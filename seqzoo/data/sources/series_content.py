"""Series of numbers as they are read from files, and the checks that all formats share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

import numpy
import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError

MISSING = ("", "?")
"""How a missing value is written."""


class Series(NamedTuple):
    """A series of vectors.

    Attributes:
        values: (T, C) float64; NaN where a value is missing.
        label: of the series, or one per step; None: it has none.
        times: (T,) float64, rising; dates are in seconds. None: steps are at equal distances.
        where: file and line, for messages.
    """

    values: Tensor
    label: str | list[str] | None
    times: Tensor | None
    where: str


class SeriesFile(NamedTuple):
    """The content of a file.

    Attributes:
        series: in the order of the file.
        channels: names of the columns of `Series.values`.
        classes: the classes that the file declares.
        numeric: whether labels are numbers to predict, not classes.
        form: how the file was read.
    """

    series: list[Series]
    channels: list[str]
    classes: list[str]
    numeric: bool
    form: str


@dataclass(frozen=True)
class Columns:
    """The columns of a table by name, or zero-based index; None: found by their names.

    Attributes:
        series: of what tells the series of a row apart.
        time: of numbers or dates that rise within a series.
        label: of the labels.
        values: of the channels; None: all others.
    """

    series: str | int | None = None
    time: str | int | None = None
    label: str | int | None = None
    values: Sequence[str | int] | None = None


@dataclass(frozen=True)
class Numbers:
    """Parses numbers.

    Args:
        nan_is_missing: as of `read_series`.
        if_nan, if_text: what to do about NaN that means nothing, and about a text, for messages.
    """

    nan_is_missing: bool
    if_nan: str = "leave the field empty"
    if_text: str = "leave it empty if it is missing"

    def array(self, fields: Sequence[str], named: Callable[[int], str]) -> numpy.ndarray:
        """Fields as float64, with NaN for missing ones; named: the place of a field, for messages."""
        try:
            values = numpy.array(fields, dtype=numpy.float64)
        except ValueError:
            values = numpy.array([self._number(field, named, i) for i, field in enumerate(fields)])
            written = numpy.array([field.strip() not in MISSING for field in fields])
        else:
            written = numpy.ones(len(fields), dtype=bool)
        return self.checked(values, written, named)

    def checked(self, values: numpy.ndarray, written: numpy.ndarray, named: Callable[[int], str]) -> numpy.ndarray:
        """The values, if those that are written are finite; raises DataError for the first that is not."""
        bad = ~numpy.isfinite(values) & written
        if self.nan_is_missing:
            bad &= ~numpy.isnan(values)
        bad |= numpy.abs(values) > torch.finfo(torch.float32).max
        if bad.any():
            place = int(bad.argmax())
            value = values[place]
            if numpy.isnan(value):
                raise DataError(
                    f"{named(place)} is NaN: {self.if_nan}, or set data.nan_is_missing=true if NaN means a missing "
                    "value"
                )
            kind = "not a finite number" if numpy.isinf(value) else "too large for float32"
            raise DataError(f"{named(place)} is {value:g}, {kind}: correct it")
        return values

    def _number(self, field: str, named: Callable[[int], str], place: int) -> float:
        if field.strip() in MISSING:
            return math.nan
        try:
            return float(field)
        except ValueError:
            raise DataError(
                f"{named(place)} is {field.strip()[:40]!r}, not a number: correct it, or {self.if_text}"
            ) from None


def parse_time(text: str, where: str) -> float:
    """A time as a number, dates and times of day in seconds."""
    try:
        time = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        except ValueError:
            raise DataError(
                f"{where} is {text.strip()[:40]!r}, neither a number nor a date such as 2021-03-14 or 2021-03-14 15:00"
            ) from None
        time = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not math.isfinite(time):
        raise DataError(f"{where} is {text}: a time must be finite")
    return time


def check_rising(times: Sequence[float], written: Sequence[object], places: Sequence[str]) -> None:
    """Check the times of a series.

    Args:
        times: of the steps.
        written: the times as they are written.
        places: where, for messages.

    Raises:
        DataError: a time is not later than the one before.
    """
    for i, (before, after) in enumerate(itertools.pairwise(times), start=1):
        if after == before:
            raise DataError(
                f"{places[i]}: the time {written[i]} occurs twice in a series: remove one of the rows, or "
                "give data.series_column if the file has several series"
            )
        if after < before:
            raise DataError(
                f"{places[i]}: the time {written[i]} comes after {written[i - 1]}: sort the rows of a series by time"
            )
