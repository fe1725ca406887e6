"""Sums as text: "535+61" -> "596", after Sutskever et al. 2014 and the addition example of Keras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from seqzoo.data.examples import Example, TransductionData
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.splits import split_sizes


@dataclass(eq=False, kw_only=True)
class Addition(TransductionData):
    """Sums of two numbers. No two questions have the same two numbers in either order, so that no answer occurs in
    another split.

    Args:
        digits: numbers have 1 to this many digits, each number of digits with equal probability.
        reverse: read the question from its end.
    """

    digits: int = 3
    reverse: bool = True
    train_size: int = 100_000
    validation_size: int = 5_000
    test_size: int = 5_000

    largest_input = 13  # <pad> <unk> + and ten digits
    largest_output = 14

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.digits <= 9:
            raise ValueError(f"digits={self.digits} must be between 1 and 9")

    def tokenizer_of_inputs(self) -> str:
        return "reversed:characters" if self.reverse else "characters"

    def tokenizer_of_targets(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        pairs = distinct_splits(self._draw, split_sizes(self))
        base = 10**self.digits
        return {split: [_question(*divmod(pair, base)) for pair in drawn] for split, drawn in pairs.items()}

    def _draw(self, count: int, seed: int) -> list[int]:
        """Pairs encoded as one number each, the smaller one first, so that a + b equals b + a."""
        random = numpy.random.default_rng(seed)
        digits = random.integers(1, self.digits + 1, size=(count, 2))
        lowest = numpy.where(digits == 1, 0, 10 ** (digits - 1))
        pairs = numpy.sort(random.integers(lowest, 10**digits), axis=1)
        return (pairs[:, 0] * 10**self.digits + pairs[:, 1]).tolist()


def _question(a: int, b: int) -> Example:
    # a hash of the pair decides which number comes first
    first, second = (a, b) if (a * 7919 + b * 104_729) % 2003 % 2 else (b, a)
    return Example(f"{first}+{second}", str(a + b))
