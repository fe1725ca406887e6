"""Models of one size: the width that comes nearest to a number of weights, or of operations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from seqzoo.contracts.errors import ConfigError

LARGEST_STEP = 64
"""A model may refuse widths, such as those that its heads do not divide; it takes one among this many."""
WIDEST = 2**20
MOST_WEIGHTS = 2**32


@dataclass
class Budget:
    """The closed part of a configuration that makes comparisons fair; `conf/config.yaml` says what each option does."""

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
        # written so that nan is wrong, too
        if not self.tolerance >= 0:
            mistakes.append(f"budget.tolerance is {self.tolerance}: it must be at least 0")
        if self.seconds is not None and not self.seconds > 0:
            mistakes.append(f"budget.seconds is {self.seconds}: it must be above 0, or null for no limit")
        if mistakes:
            raise ConfigError(mistakes)

    @property
    def width(self) -> tuple[str, float] | None:
        """What sets the width, "parameters" or "flops", and how much of it there is; None where nothing does."""
        for name in ("parameters", "flops"):
            if getattr(self, name) is not None:
                return name, as_number(getattr(self, name))
        return None


def as_number(value: int | float | str) -> float:
    """200_000, 2e5, "200k" and "0.2M" are the same; nan for what is no number."""
    text = str(value).strip().lower()
    factor = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}.get(text[-1:], 1.0)
    try:
        number = float(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


class UnknownCost(ConfigError):
    """A cost that cannot be counted without the values of tensors; the text says what needs them."""


class Found(NamedTuple):
    """A width and what was measured there."""

    width: int
    measured: float


def nearest(measure: Callable[[int], float], target: float) -> Found:
    """The width, 1 or more, at which `measure` comes nearest to `target`.

    measure: grows with the width, and raises ConfigError for a width that the model cannot have.
    Raises the ConfigError of `measure` where the model can have none, or where it is an UnknownCost.
    """
    measured = functools.cache(measure)

    def at_least(width: int) -> Found:
        """The first width from there on that the model can have."""
        last = width + LARGEST_STEP - 1
        for candidate in range(width, last):
            try:
                return Found(candidate, measured(candidate))
            except UnknownCost:
                raise
            except ConfigError:
                continue
        return Found(last, measured(last))

    below = above = at_least(1)
    while above.measured < target and above.width < WIDEST:
        below, above = above, at_least(2 * above.width)
    # nothing between `limit` and `above` can be had
    limit = above.width
    while limit - below.width > 1:
        middle = (below.width + limit) // 2
        found = at_least(middle)
        if found.width < limit and found.measured < target:
            below = found
        else:
            limit = middle
            if found.measured < above.measured:
                above = found
    return min(below, above, key=lambda found: abs(found.measured - target))
