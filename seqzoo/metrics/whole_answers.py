"""Metrics of whole answers: exact match, correct length, repeated characters."""

from __future__ import annotations

import math

from seqzoo.metrics.answers import PredictionMetric, all_of, is_right


class ExactMatch(PredictionMetric):
    """Share of the rows whose whole answer equals the reference, or one of several references."""

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
    """Share of the answers with as many characters as a reference; spaces do not count, and `<unk>` counts as one."""

    name = "right_length"

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        length, *correct = (len("".join(text.replace("<unk>", "?").split())) for text in (answer, *all_of(reference)))
        self.right += length in correct
        self.count += 1

    def compute(self) -> float:
        return self.right / self.count if self.count else math.nan


class Repeats(PredictionMetric):
    """Share of the answers in which a letter, digit or other word character occurs more than once."""

    name = "repeats"
    higher_is_better = False

    def __init__(self) -> None:
        self.repeated = 0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        letters = [character for character in answer if character.isalnum()]
        self.repeated += len(set(letters)) < len(letters)
        self.count += 1

    def compute(self) -> float:
        return self.repeated / self.count if self.count else math.nan
