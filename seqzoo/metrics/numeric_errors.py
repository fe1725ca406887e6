"""Errors of numeric predictions. Answers and references are numbers as text, separated by spaces."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from seqzoo.metrics.answers import PredictionMetric, labels


class MeanAbsoluteError(PredictionMetric):
    """Mean absolute error per number.

    Raises:
        ValueError: in `update`, an answer is not made of numbers, or not of as many as its reference.
    """

    name = "mae"
    higher_is_better = False

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in _vectors(answer, reference):
            self.total += sum(abs(a - b) for a, b in zip(predicted, correct, strict=True))
            self.count += len(correct)

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class RootMeanSquaredError(MeanAbsoluteError):
    """Root mean squared error per number, of the answers.

    Raises:
        ValueError: as `MeanAbsoluteError`.
    """

    name = "rmse"

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in _vectors(answer, reference):
            self.total += sum((a - b) ** 2 for a, b in zip(predicted, correct, strict=True))
            self.count += len(correct)

    def compute(self) -> float:
        return math.sqrt(super().compute())


class SymmetricPercentageError(MeanAbsoluteError):
    """Symmetric mean absolute percentage error (sMAPE) per number: 200 |a - b| / (|a| + |b|), 0 where both are 0.

    Raises:
        ValueError: as `MeanAbsoluteError`.

    Source: Makridakis, Accuracy Measures: Theoretical and Practical Concerns, 1993,
    https://doi.org/10.1016/0169-2070(93)90079-3
    """

    name = "smape"

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in _vectors(answer, reference):
            pairs = [(abs(a - b), abs(a) + abs(b)) for a, b in zip(predicted, correct, strict=True)]
            self.total += sum(200 * error / size for error, size in pairs if size)
            self.count += len(correct)


class MeanAbsoluteScaledError(MeanAbsoluteError):
    """Mean absolute scaled error (MASE): the absolute error divided by the mean absolute difference of neighbouring
    values in the training split, which is the error of the last value as a forecast of one step. nan for data without
    scaling.

    Attributes:
        changes: these differences, for each number of a step; the task sets them.

    Raises:
        ValueError: as `MeanAbsoluteError`.

    Source: Hyndman & Koehler, Another Look at Measures of Forecast Accuracy, 2006,
    https://doi.org/10.1016/j.ijforecast.2006.03.001
    """

    name = "mase"
    changes: Sequence[float] = ()

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in _vectors(answer, reference):
            scales = self.changes or [math.nan] * len(correct)
            triples = zip(predicted, correct, scales, strict=True)
            self.total += sum(abs(a - b) / scale if scale else math.nan for a, b, scale in triples)
            self.count += len(correct)


class NormalizedError(PredictionMetric):
    """Normalised root mean squared error (NRMSE): the error divided by the standard deviation of the references.

    Always predicting the mean scores 1. Each component of a vector has its own mean. nan where the references do not
    vary.

    Raises:
        ValueError: as `MeanAbsoluteError`.
    """

    name = "nrmse"
    higher_is_better = False

    def __init__(self) -> None:
        self.squared_error = 0.0
        self.sums: list[float] = []
        self.squares: list[float] = []
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in _vectors(answer, reference):
            zeros = [0.0] * len(correct)
            self.squared_error += sum((a - b) ** 2 for a, b in zip(predicted, correct, strict=True))
            self.sums = [total + b for total, b in zip(self.sums or zeros, correct, strict=True)]
            self.squares = [total + b * b for total, b in zip(self.squares or zeros, correct, strict=True)]
            self.count += 1

    def compute(self) -> float:
        if not self.count:
            return math.nan
        variation = sum(self.squares) - sum(total * total for total in self.sums) / self.count
        return math.sqrt(self.squared_error / variation) if variation > 0 else math.nan


class RankedProbabilityScore(MeanAbsoluteError):
    """Continuous ranked probability score (CRPS) per number: twice the mean pinball loss of the quantiles of an answer,
    at equally spaced levels. Of an answer without quantiles it is the absolute error.

    Raises:
        ValueError: as `MeanAbsoluteError`.

    Source: Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation, 2007,
    https://doi.org/10.1198/016214506000001437
    """

    name = "crps"

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in labels(answer, reference):
            numbers = [float(number) for number in correct.split()]
            if any(map(math.isnan, numbers)):
                continue
            bands = [[float(number) for number in band.split()] for band in re.findall(r"\(([^)]*)\)", predicted)]
            for quantiles, number in zip(bands or [[point] for point in _points(predicted)], numbers, strict=True):
                ranks = [rank / (len(quantiles) + 1) for rank in range(1, len(quantiles) + 1)]
                errors = [number - quantile for quantile in quantiles]
                pinball = [max(rank * error, (rank - 1) * error) for rank, error in zip(ranks, errors, strict=True)]
                self.total += 2 * sum(pinball) / len(pinball)
            self.count += len(numbers)


class NormalizedErrorAt84(NormalizedError):
    """The NRMSE of the 84th step of each forecast, the usual score for the Mackey-Glass series.

    Raises:
        ValueError: as `MeanAbsoluteError`, or an answer has fewer steps.

    Source: Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless
    Communication, 2004, https://doi.org/10.1126/science.1091277
    """

    name = "nrmse84"

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        if isinstance(answer, str) or isinstance(reference, str) or min(len(answer), len(reference)) < 84:
            raise ValueError("nrmse84 scores the 84th step of a forecast, which has fewer: set task.horizon=84")
        super().add(answer[83], reference[83])


def _vectors(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[list[float], list[float]]]:
    """Pairs of (predicted vector, correct vector): one per row, or one per step, but none where a number is missing."""
    for predicted, correct in labels(answer, reference):
        numbers = [float(number) for number in correct.split()]
        if not any(map(math.isnan, numbers)):
            yield _points(predicted), numbers


def _points(answer: str) -> list[float]:
    """The numbers of an answer, without their quantiles in brackets."""
    return [float(number) for number in re.sub(r"\([^)]*\)", " ", answer).split()]
