"""Constraints on generated texts, which hold for every kind of search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError, PartError
from seqzoo.contracts.own_parts import place_of, wrong_result

NEVER = float("-inf")


class Unmet(DataError):
    """A constraint cannot be met.

    Args:
        row: of the batch, from 0.
        text: which constraint, in a sentence.
    """

    def __init__(self, row: int, text: str):
        super().__init__(f"Row {row + 1}: {text}")
        self.row, self.text = row, text


class Constraint(ABC):
    """The base of constraints, which a search applies before each token. A class that `search.constraints` names is
    constructed as `MyConstraint(batch, spec)`.

    The arguments of its methods are the tokens written so far, (N, u), the row of each hypothesis, (N,), and the token
    that ends a text, or None.
    """

    @abstractmethod
    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        """Forbid tokens: log-probabilities (N, V) of the next token -> the same with -inf for forbidden tokens."""

    @property
    def amount(self) -> int:
        """The maximum over the rows of the number of tokens that are required at any position."""
        return 0

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        """How many required tokens will have been written after each next token, (N, V).

        A beam search keeps hypotheses of every number. It is called only where `amount` is above 0.
        """
        raise NotImplementedError

    @abstractmethod
    def wanted(self, row: int) -> str:
        """A description of the constraint on a row for messages; empty where there is none."""

    def unmet(self, row: int, log_probabilities: Tensor, written: Tensor, end: int | None) -> DataError:
        """The error to raise where no token may follow any hypothesis of a row.

        Args:
            row: of the batch.
            log_probabilities: of the hypotheses, (n, V), before constraints.
            written: the hypotheses, (n, u).
            end: the token that ends a text.
        """
        return Unmet(row, f"no text satisfies {self.wanted(row) or 'the constraints'}: loosen it")


@dataclass(frozen=True)
class Together(Constraint):
    """Several constraints. An error names those that are unsatisfiable by themselves or, if none is, all of them."""

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


@dataclass(frozen=True)
class Checked(Constraint):
    """A user-defined constraint, whose results are checked.

    Raises:
        PartError: a result is not what `Constraint` requires, or has NaN.
    """

    inner: Constraint

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        result = self.inner(log_probabilities, written, rows, end)
        if not isinstance(result, Tensor) or result.shape != log_probabilities.shape:
            shape = tuple(log_probabilities.shape)
            raise wrong_result(self.inner, "__call__", result, f"log-probabilities, Tensor {shape} here")
        if result.isnan().any():
            raise PartError(
                f"{place_of(self.inner, '__call__')} returned NaN: a constraint sets what it forbids to -inf and "
                "changes nothing else"
            )
        return result

    @property
    def amount(self) -> int:
        amount = self.inner.amount
        if not isinstance(amount, int):
            raise wrong_result(self.inner, "amount", amount, "an integer, the number of required tokens")
        return amount

    def banks(self, written: Tensor, rows: Tensor, vocabulary: int) -> Tensor:
        banks = self.inner.banks(written, rows, vocabulary)
        if not isinstance(banks, Tensor) or banks.shape != (len(written), vocabulary):
            raise wrong_result(self.inner, "banks", banks, f"Tensor {(len(written), vocabulary)} here")
        return banks

    def wanted(self, row: int) -> str:
        wanted = self.inner.wanted(row)
        if not isinstance(wanted, str):
            raise wrong_result(self.inner, "wanted", wanted, "a text, which may be empty")
        return wanted


UNCONSTRAINED = Together()


def check_room(row: int, needed: int, limit: int, name: str) -> None:
    """Raise `Unmet` where a constraint needs more tokens than a text may have."""
    if needed > limit:
        raise Unmet(
            row,
            f"{name} needs {needed} tokens, but an answer has at most {limit}: ask for less, or raise "
            "search.max_length",
        )


@dataclass(frozen=True, eq=False)
class Length(Constraint):
    """The number of tokens of a text without its end.

    Args:
        shortest: minimum of each row, (B,).
        longest: maximum of each row, (B,); None: no maximum.
    """

    shortest: Tensor
    longest: Tensor | None = None

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        if end is None:
            return log_probabilities
        ends = torch.arange(log_probabilities.shape[1], device=rows.device) == end
        length = written.shape[1]
        forbidden = (self.shortest[rows] > length)[:, None] & ends
        if self.longest is not None:
            forbidden = forbidden | ((self.longest[rows] <= length)[:, None] & ~ends)
        return log_probabilities.masked_fill(forbidden, NEVER)

    def wanted(self, row: int) -> str:
        least, most = int(self.shortest[row]), None if self.longest is None else int(self.longest[row])
        if most == least:
            return f"a length of {least}"
        return f"search.min_length={least}" if most is None else f"a length of {least} to {most}"


@dataclass(frozen=True)
class NoRepeat(Constraint):
    """No n-gram is written twice; size: n."""

    size: int

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        runs = written.shape[1] - self.size + 1
        if runs < 1:
            return log_probabilities
        # earlier n-grams that begin with the last n - 1 tokens
        same = torch.ones(len(written), runs, dtype=torch.bool, device=written.device)
        for place in range(self.size - 1):
            same &= written[:, place : place + runs] == written[:, runs + place, None]
        index, run = same.nonzero(as_tuple=True)
        log_probabilities = log_probabilities.clone()
        log_probabilities[index, written[index, run + self.size - 1]] = NEVER
        return log_probabilities

    def wanted(self, row: int) -> str:
        return f"search.no_repeat={self.size}"


class Places(Constraint):
    """Tokens that are fixed at some positions.

    Args:
        places: for each of the B rows, the token of each fixed position, from 0.
        limits: maximum number of tokens of each row, (B,).
        name: of the constraint, for messages.

    Raises:
        DataError: a position is beyond the limit.
    """

    def __init__(self, places: list[dict[int, int]], limits: Tensor, name: str):
        self.name = name
        for row, (fixed, limit) in enumerate(zip(places, limits.tolist(), strict=True)):
            check_room(row, max(fixed, default=-1) + 1, limit, name)
        length = max((place + 1 for fixed in places for place in fixed), default=0)
        self.tokens = torch.full((len(places), length), -1)
        for row, fixed in enumerate(places):
            for place, token in fixed.items():
                self.tokens[row, place] = token
        self.last = torch.tensor([max(fixed, default=-1) for fixed in places])

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        length = written.shape[1]
        if length >= self.tokens.shape[1]:
            return log_probabilities
        index = rows.to(self.tokens.device)
        required = self.tokens[index, length].to(rows.device)[:, None]
        unfinished = self.last[index].to(rows.device) >= length
        tokens = torch.arange(log_probabilities.shape[1], device=rows.device)
        forbidden = (required >= 0) & (tokens != required)
        if end is not None:
            forbidden = forbidden | (unfinished[:, None] & (tokens == end))
        return log_probabilities.masked_fill(forbidden, NEVER)

    def wanted(self, row: int) -> str:
        return self.name if int(self.last[row]) >= 0 else ""
