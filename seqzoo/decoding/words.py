"""Words that a text has to have, anywhere.

Hokamp & Liu, Lexically Constrained Decoding for Sequence Generation Using Grid Beam Search, 2017,
https://aclanthology.org/P17-1141
Post & Vilar, Fast Lexically Constrained Decoding with Dynamic Beam Allocation, 2018 (a beam of one size, shared out
over the amounts that have been written), https://aclanthology.org/N18-1119
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.decoding.constraints import NEVER, Constraint, check_room

OTHER = -1  # a token of no word


class Words(Constraint):
    """words: for each of the B rows the words, each of one token or several, one after the other.

    limits: (B,) tokens that a text has at most; nothing is written that would leave too little room for what is
    missing.
    name: what an error calls the words.

    Raises DataError where there is no room for them.
    """

    def __init__(self, words: list[list[list[int]]], limits: Tensor, name: str):
        self.words = [list(map(list, dict.fromkeys(map(tuple, row)))) for row in words]
        self.totals = [sum(map(len, row)) for row in self.words]
        self.limits, self.name = limits.tolist(), name
        for row, (total, limit) in enumerate(zip(self.totals, self.limits, strict=True)):
            check_room(row, total, limit, name)

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        no = torch.zeros_like(log_probabilities, dtype=torch.bool)
        for hypothesis, (row, text) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            total, room = self.totals[row], self.limits[row] - len(text) - 1
            if end is not None:
                no[hypothesis, end] = self._done(row, text) < total
            if total - self._done(row, [*text, OTHER]) > room:
                enough = [token for token, done in self._after(row, text).items() if total - done <= room]
                keep = no[hypothesis, enough]
                no[hypothesis] = True
                no[hypothesis, enough] = keep
        return log_probabilities.masked_fill(no, NEVER)

    @property
    def amount(self) -> int:
        return max(self.totals, default=0)

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        banks = torch.zeros(len(written), vocabulary, dtype=torch.long)
        for hypothesis, (row, text) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            banks[hypothesis] = self._done(row, [*text, OTHER])
            for token, done in self._after(row, text).items():
                banks[hypothesis, token] = done
        return banks.to(written.device)

    def _after(self, row: int, text: list[int]) -> dict[int, int]:
        """What will have been written with each token that is of some use."""
        return {token: self._done(row, [*text, token]) for word in self.words[row] for token in word}

    def _done(self, row: int, text: list[int]) -> int:
        """Tokens of the words that are there, and of the beginning of one that the text ends with."""
        missing = [word for word in self.words[row] if not _within(word, text)]
        begun = max((_begun(word, text) for word in missing), default=0)
        return self.totals[row] - sum(map(len, missing)) + begun

    def wanted(self, row: int) -> str:
        return self.name if self.words[row] else ""


def _within(word: list[int], text: list[int]) -> bool:
    return any(text[i : i + len(word)] == word for i in range(len(text) - len(word) + 1))


def _begun(word: list[int], text: list[int]) -> int:
    """Tokens of the longest beginning of a word that the text ends with."""
    return next((n for n in range(min(len(word), len(text)), 0, -1) if text[-n:] == word[:n]), 0)
