"""Distances of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from seqzoo.metrics.answers import PredictionMetric, labels


class MeanAbsoluteError(PredictionMetric):
    """Mean distance of a number from the right one. Answers are numbers as text, with spaces between them.

    Raises ValueError where an answer has more or fewer numbers than its reference, or is none.
    """

    name = "mae"
    higher_is_better = False

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _numbers(answer, reference):
            self.total += sum(abs(a - b) for a, b in zip(given, right, strict=True))
            self.count += len(right)

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class NormalizedError(PredictionMetric):
    """Root mean squared error in standard deviations of the right numbers (NRMSE): 1 is what their mean would score.
    Where a target has several numbers, each varies about its own mean. nan where nothing varies.

    Raises ValueError as `MeanAbsoluteError` does.
    """

    name = "nrmse"
    higher_is_better = False

    def __init__(self) -> None:
        self.squared_error = 0.0
        self.sums: list[float] = []
        self.squares: list[float] = []
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in _numbers(answer, reference):
            self.squared_error += sum((a - b) ** 2 for a, b in zip(given, right, strict=True))
            self.sums = [total + b for total, b in zip(self.sums or [0.0] * len(right), right, strict=True)]
            self.squares = [total + b * b for total, b in zip(self.squares or [0.0] * len(right), right, strict=True)]
            self.count += 1

    def compute(self) -> float:
        if not self.count:
            return math.nan
        spread = sum(self.squares) - sum(total * total for total in self.sums) / self.count
        return math.sqrt(self.squared_error / spread) if spread > 0 else math.nan


def _numbers(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[list[float], list[float]]]:
    """The vectors to compare, one a row or one a step."""
    for given, right in labels(answer, reference):
        yield [float(number) for number in given.split()], [float(number) for number in right.split()]
