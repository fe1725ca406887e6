"""Error rates of transcripts: the edits that turn an answer into its reference, as a share of the reference.

Source: Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions and Reversals, 1966
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqzoo.metrics.answers import PredictionMetric, all_of


class ErrorRate(PredictionMetric):
    """Insertions, deletions and substitutions over all rows, divided by the number of tokens of the references; above 1
    for answers that are far too long. Of several references of a row, the nearest one counts.
    """

    higher_is_better = False
    scores_alone = False

    def __init__(self) -> None:
        self.errors = self.tokens = 0

    def split(self, text: str) -> Sequence[str]:
        """The tokens of a text."""
        raise NotImplementedError

    def add(self, answer: str, reference: str | list[str]) -> None:
        written = self.split(answer)
        nearest = min((edit_distance(written, right), len(right)) for right in map(self.split, all_of(reference)))
        self.errors += nearest[0]
        self.tokens += nearest[1]

    def compute(self) -> float:
        return self.errors / self.tokens if self.tokens else math.nan


class WordErrorRate(ErrorRate):
    """Words are what is between spaces."""

    name = "wer"

    def split(self, text: str) -> Sequence[str]:
        return text.split()


class CharacterErrorRate(ErrorRate):
    """Characters, spaces between words included."""

    name = "cer"

    def split(self, text: str) -> Sequence[str]:
        return text.strip()


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The least number of insertions, deletions and substitutions that turn one sequence into another."""
    row = list(range(len(b) + 1))
    for i, token in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
    return row[-1]
