"""Parity: the exclusive or of all bits so far.

Source: Minsky & Papert, Perceptrons, 1969; as a test of generalisation to longer sequences: Deletang et al.,
Neural Networks and the Chomsky Hierarchy, 2023, https://arxiv.org/abs/2207.02098

    tag_t = x_1 xor x_2 xor ... xor x_t
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.generating import distinct_splits


@dataclass(eq=False, kw_only=True)
class Parity(TaggingData):
    """Strings of bits, tagged with the parity at each step; no string occurs twice.

    Args:
        longest: maximum length of training and validation strings; lengths from 1 on are equally likely.
        test_length: length of test strings, which is above `longest`.
    """

    longest: int = 40
    test_length: int = 160
    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "longest")
        if self.test_length <= self.longest:
            raise ValueError(
                f"test_length={self.test_length} must be above longest={self.longest}: it tests generalisation to "
                "longer strings"
            )

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, 4, 2)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        strings = distinct_splits(
            lambda count, seed: draw(1, self.longest, count, seed),
            {"train": self.train_size, "validation": self.validation_size},
        ) | distinct_splits(
            lambda count, seed: draw(self.test_length, self.test_length, count, seed), {"test": self.test_size}
        )
        return {split: [Example(bits, parities(bits)) for bits in drawn] for split, drawn in strings.items()}


def draw(shortest: int, longest: int, count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    lengths = (generator.randint(shortest, longest) for _ in range(count))
    return ["".join(generator.choices("01", k=length)) for length in lengths]


def parities(bits: str) -> list[str]:
    """The parity at each step: "1" where the number of ones so far is odd."""
    tags, odd = [], False
    for bit in bits:
        odd ^= bit == "1"
        tags.append("1" if odd else "0")
    return tags
