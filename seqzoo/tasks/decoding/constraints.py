"""What a text that is written has to keep to, whichever way it is searched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError

NEVER = float("-inf")


class Unmet(DataError):
    """What is asked of a text cannot be met. row: of the batch, from 0; text: what, in a sentence."""

    def __init__(self, row: int, text: str):
        super().__init__(f"Row {row + 1}: {text}")
        self.row, self.text = row, text


class Constraint(ABC):
    """What a search asks before each token. written: (N, u) tokens so far; rows: (N,) the row of each; end: the token
    that ends a text, if one does. One that `search.constraints` names is constructed as `MyConstraint(batch, spec)`.
    """

    @abstractmethod
    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        """(N, V) of the next token -> the same with -inf at what may not follow."""

    @property
    def amount(self) -> int:
        """Tokens that are required, wherever they stand, of a row at most."""
        return 0

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        """(N, V), how many of them will have been written with each next token; asked where there are any. A beam
        search keeps hypotheses of every amount.
        """
        raise NotImplementedError

    @abstractmethod
    def wanted(self, row: int) -> str:
        """What is asked of a row, in words; empty where it is nothing."""

    def unmet(self, row: int, log_probabilities: Tensor, written: Tensor, end: int | None) -> DataError:
        """What to say where nothing may follow any of the (n, u) texts of a row, which have these (n, V)."""
        return Unmet(row, f"no text keeps to {self.wanted(row) or 'what may be written'}: loosen it.")


@dataclass(frozen=True)
class Together(Constraint):
    """Several constraints at once. An error names those that leave nothing by themselves or, where none does, all."""

    parts: tuple[Constraint, ...] = ()

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        for part in self.parts:
            log_probabilities = part(log_probabilities, written, rows, end)
        return log_probabilities

    @property
    def amount(self) -> int:
        return sum(part.amount for part in self.parts)

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        return torch.stack([part.banks(written, rows, vocabulary) for part in self.parts if part.amount]).sum(0)

    def wanted(self, row: int) -> str:
        return " and ".join(filter(None, (part.wanted(row) for part in self.parts)))

    def unmet(self, row: int, log_probabilities: Tensor, written: Tensor, end: int | None) -> DataError:
        rows = torch.full((len(written),), row, device=written.device)
        alone = (part for part in self.parts if part(log_probabilities, written, rows, end).isneginf().all())
        return super(Together, Together(tuple(alone) or self.parts)).unmet(row, log_probabilities, written, end)


UNCONSTRAINED = Together()


def check_room(row: int, needed: int, limit: int, name: str) -> None:
    if needed > limit:
        raise Unmet(
            row,
            f"{name} needs an answer of {needed} tokens, which has {limit} at most: ask for less, or raise max_length.",
        )


@dataclass(frozen=True, eq=False)
class Length(Constraint):
    """Tokens of each row before its end: (B,) at least, and (B,) at most, or None: as many as it likes."""

    shortest: Tensor
    longest: Tensor | None = None

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        if end is None:
            return log_probabilities
        ends = torch.arange(log_probabilities.shape[1], device=rows.device) == end
        length = written.shape[1]
        no = (self.shortest[rows] > length)[:, None] & ends
        if self.longest is not None:
            no = no | ((self.longest[rows] <= length)[:, None] & ~ends)
        return log_probabilities.masked_fill(no, NEVER)

    def wanted(self, row: int) -> str:
        least, most = int(self.shortest[row]), None if self.longest is None else int(self.longest[row])
        if most == least:
            return f"a length of {least}"
        return f"min_length={least}" if most is None else f"a length of {least} to {most}"


@dataclass(frozen=True)
class NoRepeat(Constraint):
    """No run of so many tokens is written twice."""

    size: int

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        runs = written.shape[1] - self.size + 1
        if runs < 1:
            return log_probabilities
        # runs whose beginning is what stands at the end now
        same = torch.ones(len(written), runs, dtype=torch.bool, device=written.device)
        for place in range(self.size - 1):
            same &= written[:, place : place + runs] == written[:, runs + place, None]
        index, run = same.nonzero(as_tuple=True)
        log_probabilities = log_probabilities.clone()
        log_probabilities[index, written[index, run + self.size - 1]] = NEVER
        return log_probabilities

    def wanted(self, row: int) -> str:
        return f"no_repeat={self.size}"


class Places(Constraint):
    """Tokens that have to stand at places, counted from 0: for each of the B rows {place: token}.

    limits: (B,) tokens that a text has at most.
    name: what an error calls the places.

    Raises DataError where a place is beyond the end of a text.
    """

    def __init__(self, places: list[dict[int, int]], limits: Tensor, name: str):
        self.name = name
        for row, (given, limit) in enumerate(zip(places, limits.tolist(), strict=True)):
            check_room(row, max(given, default=-1) + 1, limit, name)
        length = max((place + 1 for given in places for place in given), default=0)
        self.tokens = torch.full((len(places), length), -1)
        for row, given in enumerate(places):
            for place, token in given.items():
                self.tokens[row, place] = token
        self.last = torch.tensor([max(given, default=-1) for given in places])

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        length = written.shape[1]
        if length >= self.tokens.shape[1]:
            return log_probabilities
        own = rows.to(self.tokens.device)
        required, later = self.tokens[own, length].to(rows.device)[:, None], self.last[own].to(rows.device) >= length
        tokens = torch.arange(log_probabilities.shape[1], device=rows.device)
        no = (required >= 0) & (tokens != required)
        if end is not None:
            no = no | (later[:, None] & (tokens == end))
        return log_probabilities.masked_fill(no, NEVER)

    def wanted(self, row: int) -> str:
        return self.name if int(self.last[row]) >= 0 else ""
