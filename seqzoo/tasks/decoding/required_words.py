"""Words that a text must contain.

Source: Hokamp & Liu, Lexically Constrained Decoding for Sequence Generation Using Grid Beam Search, 2017,
https://aclanthology.org/P17-1141
Post & Vilar, Fast Lexically Constrained Decoding with Dynamic Beam Allocation, 2018 (a beam of one size, shared out
over the amounts that have been written), https://aclanthology.org/N18-1119
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from seqzoo.tasks.decoding.constraints import NEVER, Constraint, check_room

OTHER = -1  # a token of no word


class Words(Constraint):
    """Words that each text must contain, in any order. They may overlap, as "a red" and "red star" in "a red star".

    Args:
        words: for each of the B rows the words, each a list of consecutive tokens.
        limits: maximum number of tokens of each row, (B,). Tokens that leave too little room for the missing words are
            forbidden.
        name: of the constraint, for messages.

    Raises:
        DataError: the words need more tokens than the limit.
    """

    def __init__(self, words: list[list[list[int]]], limits: Tensor, name: str):
        self.words = [_different(row) for row in words]
        self.totals = [_missing(row, []) for row in self.words]
        self.limits, self.name = limits.tolist(), name
        for row, (total, limit) in enumerate(zip(self.totals, self.limits, strict=True)):
            check_room(row, total, limit, name)

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        forbidden = torch.zeros_like(log_probabilities, dtype=torch.bool)
        for hypothesis, (row, text) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            words, room = self.words[row], self.limits[row] - len(text) - 1
            if end is not None:
                forbidden[hypothesis, end] = _missing(words, text) > 0
            if 0 <= room < _missing(words, [*text, OTHER]):
                fitting = [token for token, missing in _after(words, text).items() if missing <= room]
                keep = forbidden[hypothesis, fitting]
                forbidden[hypothesis] = True
                forbidden[hypothesis, fitting] = keep
        return log_probabilities.masked_fill(forbidden, NEVER)

    @property
    def amount(self) -> int:
        return max(self.totals, default=0)

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        banks = torch.zeros(len(written), vocabulary, dtype=torch.long)
        for hypothesis, (row, text) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            words, total = self.words[row], self.totals[row]
            banks[hypothesis] = total - _missing(words, [*text, OTHER])
            for token, missing in _after(words, text).items():
                banks[hypothesis, token] = total - missing
        return banks.to(written.device)

    def wanted(self, row: int) -> str:
        return self.name if self.words[row] else ""


Word = tuple[int, ...]


def _different(words: list[list[int]]) -> list[Word]:
    """The distinct words that are not part of another one."""
    different = [*dict.fromkeys(map(tuple, words))]
    return [word for word in different if not any(word != other and _within(word, other) for other in different)]


def _after(words: list[Word], text: list[int]) -> dict[int, int]:
    """The number of missing tokens after each token that is part of a word."""
    return {token: _missing(words, [*text, token]) for word in words for token in word}


def _missing(words: list[Word], text: list[int]) -> int:
    """The minimum number of tokens that must follow a text until it contains all words."""
    missing = frozenset(word for word in words if not _within(word, text))
    longest = max(map(len, missing), default=0)
    return sum(map(len, missing)) - (_saved(tuple(text[-longest:]), missing) if missing else 0)


@lru_cache(2**16)
def _saved(before: Word, words: frozenset[Word]) -> int:
    """The maximum over all orders of the words of the number of tokens that overlap, with the text and each other."""
    # words without overlap may have any place
    linked = frozenset(
        word
        for word in words
        if _begun(word, before) or any(_begun(word, other) or _begun(other, word) for other in words - {word})
    )
    return max((_begun(word, before) + _saved(word, linked - {word}) for word in linked), default=0)


def _within(word: Sequence[int], text: Sequence[int]) -> bool:
    return any(tuple(text[i : i + len(word)]) == tuple(word) for i in range(len(text) - len(word) + 1))


def _begun(word: Word, text: Word) -> int:
    """The length of the longest prefix of a word that is a suffix of the text."""
    return next((n for n in range(min(len(word), len(text)), 0, -1) if text[-n:] == word[:n]), 0)
