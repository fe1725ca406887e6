"""Templates: texts of known length with fixed tokens at some positions, free ones elsewhere, and rhymes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.tasks.decoding.constraints import Constraint


@dataclass(frozen=True, eq=False)
class Template(Constraint):
    """Texts of a given form. Tokens are forbidden where later positions could no longer be filled, so that every
    hypothesis can be completed.

    Args:
        places: for each of the B rows the token at each position; None: a free position.
        free: (B, V), True for tokens that may fill free positions.
        once: no token fills a free position that occurs elsewhere in the row.
        rhyming: for each row the positions whose tokens share an ending; none, or at least two.
        endings: (V, C), True where a token has an ending; a token may have several or none.
        names: of the rows, for messages.
        show: tokens as text, for messages.

    Raises:
        DataError: a row cannot be filled; the message says why.
    """

    places: list[list[int | None]]
    free: Tensor
    once: bool
    rhyming: list[list[int]]
    endings: Tensor
    names: list[str]
    show: Callable[[list[int]], str]

    def __post_init__(self) -> None:
        for row, name in enumerate(self.names):
            obstacle = self._obstacle(row)
            if obstacle:
                raise DataError(f"{name}: {obstacle}")

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        allowed = torch.zeros_like(log_probabilities, dtype=torch.bool)
        for hypothesis, (row, tokens) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            allowed[hypothesis] = self.may_follow(row, tokens)
        return log_probabilities.masked_fill(~allowed, float("-inf"))

    def wanted(self, row: int) -> str:
        return "its form"

    def unmet(self, row: int, log_probabilities: Tensor, written: Tensor, end: int | None) -> DataError:
        return DataError(f"{self.names[row]}: the model gives no probability to any text of this form")

    def may_follow(self, row: int, written: list[int]) -> Tensor:
        """The tokens that may follow those that are written, as a mask (V,)."""
        place = len(written)
        fixed = self.places[row][place]
        if fixed is not None:
            return torch.arange(self.free.shape[1], device=self.free.device) == fixed
        unused = self._unused(row, written)
        rhymes, later = place in self.rhyming[row], self._to_rhyme(row, place + 1)
        if not rhymes and not later:
            return unused
        common = self._common(row, written)
        # (V, C): the tokens that are left of each ending after each choice
        left = (self.endings & unused[:, None]).sum(0) - self.endings.long() * self.once
        enough = common & (left >= self._needed(later))
        return unused & (enough & self.endings if rhymes else enough).any(1)

    def _unused(self, row: int, written: list[int]) -> Tensor:
        """The tokens that may still fill free positions, as a mask (V,)."""
        unused = self.free[row].clone()
        if self.once:
            unused[[*written, *(token for token in self.places[row] if token is not None)]] = False
        return unused

    def _to_rhyme(self, row: int, start: int) -> int:
        """The number of free rhyming positions from `start` on."""
        return sum(place >= start and self.places[row][place] is None for place in self.rhyming[row])

    def _needed(self, places: int) -> int:
        """The number of different tokens of one ending that this many positions need."""
        return places if self.once else min(places, 1)

    def _rhymes(self, row: int, written: list[int]) -> list[int]:
        """The rhyming tokens that are fixed or written."""
        text = [*written, *self.places[row][len(written) :]]
        return [token for place in self.rhyming[row] if (token := text[place]) is not None]

    def _common(self, row: int, written: list[int]) -> Tensor:
        """The endings that all of these tokens share, as a mask (C,)."""
        return self.endings[self._rhymes(row, written)].all(0)

    def _obstacle(self, row: int) -> str | None:
        """Why a row cannot be filled; None where it can.

        The tokens of an ending are a subset of the free ones, so that counting both is sufficient (Hall's theorem).
        """
        unused, missing = self._unused(row, []), self.places[row].count(None)
        if int(unused.sum()) < (missing if self.once else min(missing, 1)):
            return f"{missing} tokens are to be chosen, but only {int(unused.sum())} may be"
        if not self.rhyming[row]:
            return None
        fixed, common, to_rhyme = self._rhymes(row, []), self._common(row, []), self._to_rhyme(row, 0)
        if not common.any():
            return (
                f"{' and '.join(self.show([token]) for token in fixed)} do not rhyme: change them, or which lines rhyme"
            )
        most = int((self.endings & unused[:, None]).sum(0)[common].max())
        if most < self._needed(to_rhyme):
            rhymes = f" with {self.show(fixed)}" if fixed else ""
            return f"{to_rhyme} tokens are to rhyme{rhymes}, but only {most} can be chosen"
        return None
