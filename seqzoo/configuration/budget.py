"""Budgets: the width at which a model comes closest to a number of parameters or FLOPs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from seqzoo.contracts.errors import ConfigError

LARGEST_STEP = 64
"""A model may not support all widths, for example only multiples of its heads, but at least one among this many."""
WIDEST = 2**20
MOST_WEIGHTS = 2**32


@dataclass(frozen=True)
class Budget:
    """Limits that make comparisons fair; the options are documented in `conf/config.yaml`."""

    acts_with: ClassVar[dict[str, str]] = {"tolerance": "parameters!=null or flops!=null"}

    parameters: int | float | str | None = None
    flops: int | float | str | None = None
    tolerance: float = 0.01
    seconds: float | None = None

    def __post_init__(self) -> None:
        mistakes = []
        for name in ("parameters", "flops"):
            value = getattr(self, name)
            if value is not None and not as_number(value) > 0:
                mistakes.append(f"budget.{name} is {value!r}: it must be a number above 0, such as 200k, 1M or 5e5")
        if self.parameters is not None and self.flops is not None:
            mistakes.append("budget.parameters and budget.flops are both given: one of them sets the width")
        # nan must fail, too
        if not self.tolerance >= 0:
            mistakes.append(f"budget.tolerance is {self.tolerance}: it must be at least 0")
        if self.seconds is not None and not self.seconds > 0:
            mistakes.append(f"budget.seconds is {self.seconds}: it must be above 0, or null for no limit")
        if mistakes:
            raise ConfigError(mistakes)

    @property
    def width(self) -> tuple[str, float] | None:
        """The name of the option that sets the width, "parameters" or "flops", and its value; None: neither is set."""
        for name in ("parameters", "flops"):
            if getattr(self, name) is not None:
                return name, as_number(getattr(self, name))
        return None


def as_number(value: int | float | str) -> float:
    """Convert 200_000, 2e5, "200k" or "0.2M" to a float; nan if it is not a finite number."""
    text = str(value).strip().lower()
    factor = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}.get(text[-1:], 1.0)
    try:
        number = float(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


class UnknownCost(ConfigError):
    """A cost that cannot be counted on the meta device; the message says which operation needs tensor values."""


class Candidate(NamedTuple):
    """A width and the cost measured there."""

    width: int
    measured: float


def nearest(measure: Callable[[int], float], target: float) -> Candidate:
    """The width at which a model comes closest to a cost.

    Args:
        measure: the cost at a width, at least 1; increasing, and raises ConfigError for a width that the model does not
            support.
        target: the cost.

    Raises:
        ConfigError: from `measure`, if the model supports no width.
        UnknownCost: from `measure`.
    """
    measured = functools.cache(measure)

    def at_least(width: int) -> Candidate:
        """The first width from `width` on that the model supports."""
        last = width + LARGEST_STEP - 1
        for supported in range(width, last):
            try:
                return Candidate(supported, measured(supported))
            except UnknownCost:
                raise
            except ConfigError:
                continue
        return Candidate(last, measured(last))

    below = above = at_least(1)
    while above.measured < target and above.width < WIDEST:
        below, above = above, at_least(2 * above.width)
    # no width from `limit` to below `above` is supported
    limit = above.width
    while limit - below.width > 1:
        middle = (below.width + limit) // 2
        candidate = at_least(middle)
        if candidate.width < limit and candidate.measured < target:
            below = candidate
        else:
            limit = middle
            if candidate.measured < above.measured:
                above = candidate
    return min(below, above, key=lambda candidate: abs(candidate.measured - target))
