"""Whole answers: right or not, and two plain faults of texts."""

from __future__ import annotations

import math

from seqzoo.metrics.answers import PredictionMetric, all_of, is_right


class ExactMatch(PredictionMetric):
    """Share of the rows whose whole answer is right, or one of the right ones."""

    name = "exact_match"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str | list[str], reference: str | list[str]) -> None:
        self.right += is_right(answer, reference)
        self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class RightLength(PredictionMetric):
    """Share of the answers that have as many characters as the right one, spaces left out; a token that the
    vocabulary does not know is one, too.
    """

    name = "right_length"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        one, *others = ("".join(text.replace("<unk>", "?").split()) for text in (answer, *all_of(reference)))
        self.right += len(one) in map(len, others)
        self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class Repeats(PredictionMetric):
    """Share of the answers in which a letter or character occurs twice."""

    name = "repeats"
    higher_is_better = False

    def __init__(self) -> None:
        self.found = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        letters = [character for character in answer if character.isalnum()]
        self.found += len(set(letters)) < len(letters)
        self.count += 1

    def compute(self) -> float:
        return self.found / self.count if self.count else math.nan
