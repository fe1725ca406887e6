"""Texts whose length is known: given tokens at some places, chosen ones elsewhere, of which some rhyme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.tasks.decoding.constraints import Constraint


@dataclass(frozen=True, eq=False)
class Template(Constraint):
    """What a place takes is limited so that all later ones can still be filled: whatever the
    model, no hypothesis ends in a blind alley.

    places: for each of the B rows the token at each place of its text; None: one is chosen.
    free: (B, V), True for the tokens that may be chosen.
    once: no token is chosen that stands elsewhere in the row.
    rhyming: for each row the places whose tokens have an ending in common; at least two, or none.
    endings: (V, C), True where a token has an ending; a token may have several, or none.
    names: what to call each row in a message; show: tokens as text.

    Raises DataError where a row cannot be filled, with what stands in the way.
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
        """(N, V) of the next token -> the same with -inf at what may not follow; see `Constraint`."""
        may = torch.zeros_like(log_probabilities, dtype=torch.bool)
        for hypothesis, (row, tokens) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
            may[hypothesis] = self.may_follow(row, tokens)
        return log_probabilities.masked_fill(~may, float("-inf"))

    def wanted(self, row: int) -> str:
        return "its form"

    def unmet(self, row: int, log_probabilities: Tensor, written: Tensor, end: int | None) -> DataError:
        return DataError(f"{self.names[row]}: the model gives no probability to any text of this form")

    def may_follow(self, row: int, written: list[int]) -> Tensor:
        """(V,), True for what may stand at the place after those that are written."""
        place = len(written)
        given = self.places[row][place]
        if given is not None:
            return torch.arange(self.free.shape[1], device=self.free.device) == given
        may = self._unused(row, written)
        rhymes, later = place in self.rhyming[row], self._to_rhyme(row, place + 1)
        if not rhymes and not later:
            return may
        common = self._common(row, written)
        left = (self.endings & may[:, None]).sum(0) - self.endings.long() * self.once  # (V, C), once a token is chosen
        enough = common & (left >= self._wanted(later))
        return may & (enough & self.endings if rhymes else enough).any(1)

    def _unused(self, row: int, written: list[int]) -> Tensor:
        """(V,), True for what may still be chosen."""
        unused = self.free[row].clone()
        if self.once:
            unused[[*written, *(token for token in self.places[row] if token is not None)]] = False
        return unused

    def _to_rhyme(self, row: int, start: int) -> int:
        """Places from here on whose rhyme is to be chosen."""
        return sum(place >= start and self.places[row][place] is None for place in self.rhyming[row])

    def _wanted(self, places: int) -> int:
        """Different tokens of one ending that so many places need."""
        return places if self.once else min(places, 1)

    def _rhymes(self, row: int, written: list[int]) -> list[int]:
        """The rhyming tokens that are known."""
        text = [*written, *self.places[row][len(written) :]]
        return [token for place in self.rhyming[row] if (token := text[place]) is not None]

    def _common(self, row: int, written: list[int]) -> Tensor:
        """(C,), True for the endings that all of them have."""
        return self.endings[self._rhymes(row, written)].all(0)

    def _obstacle(self, row: int) -> str | None:
        """Why a row cannot be filled; None where it can. The tokens of an ending are among the free ones, so that
        counting both is enough (Hall's theorem).
        """
        unused, wanted = self._unused(row, []), self.places[row].count(None)
        if int(unused.sum()) < (wanted if self.once else min(wanted, 1)):
            return f"{wanted} tokens are to be chosen, but only {int(unused.sum())} may be"
        if not self.rhyming[row]:
            return None
        known, common, to_rhyme = self._rhymes(row, []), self._common(row, []), self._to_rhyme(row, 0)
        if not common.any():
            return (
                f"{' and '.join(self.show([token]) for token in known)} do not rhyme: change them, or which lines rhyme"
            )
        most = int((self.endings & unused[:, None]).sum(0)[common].max())
        if most < self._wanted(to_rhyme):
            rhymes = f" with {self.show(known)}" if known else ""
            return f"{to_rhyme} tokens are to rhyme{rhymes}, but only {most} can be chosen"
        return None
