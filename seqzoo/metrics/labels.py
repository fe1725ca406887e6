"""Labels: one a row, or one a step."""

from __future__ import annotations

import math
from collections import Counter

from seqzoo.metrics.answers import PredictionMetric, labels


class Accuracy(PredictionMetric):
    """Share of the labels that are right: one label a row, or one a step.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in labels(answer, reference):
            self.right += given == right
            self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class MacroF1(PredictionMetric):
    """F1 of each class, averaged over the classes that were answered or right at least once: rare classes weigh as much
    as frequent ones.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    name = "macro_f1"

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.real: Counter[str] = Counter()

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        for given, right in labels(answer, reference):
            self.answered[given] += 1
            self.real[right] += 1
            self.right[right] += given == right

    def compute(self) -> float:
        classes = self.answered.keys() | self.real.keys()
        if not classes:
            return math.nan
        return sum(2 * self.right[c] / (self.answered[c] + self.real[c]) for c in sorted(classes)) / len(classes)
