"""Sums as text: "535+61" -> "596", after Sutskever et al. 2014 and the addition example of Keras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from seqzoo.data.examples import Example, TransductionData
from seqzoo.data.generated.generating import distinct_splits


@dataclass(eq=False, kw_only=True)
class Addition(TransductionData):
    """Numbers of 1 to `digits` digits, each count of digits equally likely.

    No two questions have the same two numbers, in either order, so no answer is known from another split.
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
            raise ValueError(f"digits={self.digits} must lie between 1 and 9")

    def tokenizer_of_inputs(self) -> str:
        return "reversed:characters" if self.reverse else "characters"

    def tokenizer_of_targets(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        pairs = distinct_splits(self._draw, sizes)
        base = 10**self.digits
        return {split: [_question(*divmod(pair, base)) for pair in found] for split, found in pairs.items()}

    def _draw(self, count: int, seed: int) -> list[int]:
        """Pairs as one number each, the smaller number in front: a + b and b + a are the same."""
        random = numpy.random.default_rng(seed)
        digits = random.integers(1, self.digits + 1, size=(count, 2))
        lowest = numpy.where(digits == 1, 0, 10 ** (digits - 1))
        pairs = numpy.sort(random.integers(lowest, 10**digits), axis=1)
        return (pairs[:, 0] * 10**self.digits + pairs[:, 1]).tolist()


def _question(a: int, b: int) -> Example:
    # A coin that depends on the pair alone decides which number comes first.
    first, second = (a, b) if (a * 7919 + b * 104_729) % 2003 % 2 else (b, a)
    return Example(f"{first}+{second}", str(a + b))
