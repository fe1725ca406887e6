"""Metrics of labels: one per row, or one per step."""

from __future__ import annotations

import math
from collections import Counter

from seqzoo.metrics.answers import PredictionMetric, given_labels


class Accuracy(PredictionMetric):
    """Share of the labels that are correct: one label per row, or one per step.

    Raises:
        ValueError: in `update`, an answer has another number of labels than its reference.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in given_labels(answer, reference):
            self.right += predicted == correct
            self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class RowAccuracy(PredictionMetric):
    """Share of the labels of a row that are correct, averaged over rows, so that long rows do not count more than short
    ones. Rows without labels do not count.

    Raises:
        ValueError: in `update`, an answer has another number of labels than its reference.
    """

    name = "row_accuracy"

    def __init__(self) -> None:
        self.total = 0.0
        self.rows = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        right = [predicted == correct for predicted, correct in given_labels(answer, reference)]
        if right:
            self.total += sum(right) / len(right)
            self.rows += 1

    def compute(self) -> float:
        return self.total / self.rows if self.rows else math.nan


class MacroF1(PredictionMetric):
    """Unweighted mean of the F1 scores of the classes that were predicted or correct at least once.

    Raises:
        ValueError: in `update`, an answer has another number of labels than its reference.
    """

    name = "macro_f1"

    def __init__(self) -> None:
        self.matched: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.correct: Counter[str] = Counter()

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for predicted, correct in given_labels(answer, reference):
            self.predicted[predicted] += 1
            self.correct[correct] += 1
            self.matched[correct] += predicted == correct

    def compute(self) -> float:
        classes = self.predicted.keys() | self.correct.keys()
        if not classes:
            return math.nan
        f1 = [2 * self.matched[name] / (self.predicted[name] + self.correct[name]) for name in sorted(classes)]
        return sum(f1) / len(classes)
