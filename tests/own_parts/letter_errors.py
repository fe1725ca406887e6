"""A metric: letters to insert, delete or replace, as a share of the right ones (Levenshtein 1966)."""

from __future__ import annotations

import math

from seqzoo.metrics import PredictionMetric


class LetterErrors(PredictionMetric):
    name = "letter_errors"
    higher_is_better = False

    def __init__(self) -> None:
        self.errors = self.letters = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        right = reference if isinstance(reference, str) else reference[0]
        row = [*range(len(right) + 1)]
        for number, letter in enumerate(answer, start=1):
            before, row[0] = row[:], number
            for place, other in enumerate(right, start=1):
                row[place] = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (letter != other))
        self.errors += row[-1]
        self.letters += len(right)

    def compute(self) -> float:
        return self.errors / self.letters if self.letters else math.nan
