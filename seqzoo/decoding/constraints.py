"""What a text that is written has to keep to, whichever way it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from seqzoo.errors import DataError


class Constraint(Protocol):
    """What a search asks before each token."""

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        """(N, V) of the next token -> the same with -inf at what may not follow.

        written: (N, u) tokens so far; rows: (N,) the row of each; end: the token that ends a text, if one does.
        """

    def unmet(self, row: int) -> DataError:
        """What to say where nothing may follow."""


@dataclass(frozen=True)
class Constraints:
    """prefixes: tokens that each of the B rows has to begin with; None: none.

    min_length: tokens before an end.
    no_repeat: no run of so many tokens is written twice; 0: it may be.
    lengths: how many tokens each row has before its end; None: as many as it likes.
    """

    prefixes: list[list[int]] | None = None
    min_length: int = 0
    no_repeat: int = 0
    lengths: list[int] | None = None

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        if self == UNCONSTRAINED:
            return log_probabilities
        length = written.shape[1]
        log_probabilities = log_probabilities.clone()
        if end is not None and length < self.min_length:
            log_probabilities[:, end] = float("-inf")
        if end is not None and self.lengths is not None:
            full = torch.tensor([length >= self.lengths[row] for row in rows.tolist()], device=rows.device)
            ends = torch.arange(log_probabilities.shape[1], device=rows.device) == end
            log_probabilities = log_probabilities.masked_fill(full[:, None] != ends, float("-inf"))
        if 0 < self.no_repeat <= length:
            for hypothesis, tokens in enumerate(written.tolist()):
                log_probabilities[hypothesis, repeats(tokens, self.no_repeat)] = float("-inf")
        if self.prefixes is not None:
            for hypothesis, row in enumerate(rows.tolist()):
                if length < len(self.prefixes[row]):
                    required = self.prefixes[row][length]
                    kept = log_probabilities[hypothesis, required].clone()
                    log_probabilities[hypothesis] = float("-inf")
                    log_probabilities[hypothesis, required] = kept
        return log_probabilities

    def unmet(self, row: int) -> DataError:
        named = [
            f"a length of {self.lengths[row]}" if self.lengths else "",
            f"min_length={self.min_length}" if self.min_length else "",
            f"no_repeat={self.no_repeat}" if self.no_repeat else "",
            "its required beginning" if self.prefixes else "",
        ]
        return DataError(
            f"Row {row + 1}: no text keeps to {' and '.join(filter(None, named)) or 'what may be written'}: loosen it."
        )


UNCONSTRAINED = Constraints()


def repeats(tokens: list[int], size: int) -> list[int]:
    """The tokens that would end a run of `size` tokens that is there already."""
    last = tokens[len(tokens) - size + 1 :]
    return [tokens[i + size - 1] for i in range(len(tokens) - size + 1) if tokens[i : i + size - 1] == last]
