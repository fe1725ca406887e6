"""Generated examples: drawn until enough of them differ, then split, so that no split holds an example of another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from seqzoo.contracts.errors import DataError

T = TypeVar("T")

GENERATION_SEED = 20_140_910
"""Not the seed of a run: all runs share one held-out set."""

ROUNDS = 40

SPLIT_SIZES = ("train_size", "validation_size", "test_size")
LENGTHS = ("steps", "longest", "length", "held_out_length", "test_length")
MOST_EXAMPLES, LONGEST_EXAMPLE = 10**8, 10**6


def check_sizes(data: object) -> None:
    """Raises ValueError where data that is generated would have no examples, or more or longer ones than fit."""
    for names, least, most in ((SPLIT_SIZES, 1, MOST_EXAMPLES), (LENGTHS, 1, LONGEST_EXAMPLE)):
        for name in names:
            value = getattr(data, name, None)
            if isinstance(value, int) and not least <= value <= most:
                raise ValueError(f"{name}={value} must lie between {least} and {most:,}")


def distinct_splits(draw: Callable[[int, int], list[T]], sizes: dict[str, int]) -> dict[str, list[T]]:
    """Different examples for splits of these sizes; the same sizes give the same examples.

    draw: (how many, seed) -> so many examples, of which some may be equal.
    """
    wanted = sum(sizes.values())
    found: dict[T, None] = {}
    for number in range(ROUNDS):
        found.update(dict.fromkeys(draw(wanted, GENERATION_SEED + number)))
        if len(found) >= wanted:
            break
    else:
        raise DataError(
            f"Only {len(found):,} different examples were found where {wanted:,} are wanted: "
            "lower data.train_size, data.validation_size or data.test_size, or make the examples longer."
        )
    # What is found first is what is likely: cut after a shuffle, so that every split is alike.
    examples = list(found)
    random.Random(GENERATION_SEED).shuffle(examples)
    splits, start = {}, 0
    for split, size in sizes.items():
        splits[split] = examples[start : start + size]
        start += size
    return splits
