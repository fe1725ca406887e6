"""Generated examples without duplicates, so that no example is in two splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from seqzoo.contracts.errors import DataError
from seqzoo.data.splits import GENERATION_SEED, cut, shuffled

T = TypeVar("T")

ROUNDS = 40
"""How often examples are drawn before giving up."""


def distinct_splits(draw: Callable[[int, int], list[T]], sizes: dict[str, int]) -> dict[str, list[T]]:
    """Draw distinct examples for several splits. The same sizes give the same examples.

    Args:
        draw: called with a number and a seed; returns that many examples, with or without duplicates.
        sizes: the number of examples of each split.

    Raises:
        DataError: there are not enough distinct examples.
    """
    needed = sum(sizes.values())
    examples: dict[T, None] = {}
    for number in range(ROUNDS):
        examples.update(dict.fromkeys(draw(needed, GENERATION_SEED + number)))
        if len(examples) >= needed:
            break
    else:
        raise DataError(
            f"there are only {len(examples):,} different examples where {needed:,} are needed: "
            "lower data.train_size, data.validation_size or data.test_size, or make the examples longer"
        )
    # likely examples are drawn first: without the shuffle, later splits would hold unlikely ones
    return cut(shuffled(examples), sizes)
