"""Parity: one bit of memory that every step may flip, and that no network may let fade.

Minsky & Papert, Perceptrons, 1969; as a test of what recurrent networks carry to longer sequences than they were
trained on: Deletang et al., Neural Networks and the Chomsky Hierarchy, 2023, https://arxiv.org/abs/2207.02098

    tag_t = x_1 xor x_2 xor ... xor x_t
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.generating import distinct_splits


@dataclass(eq=False, kw_only=True)
class Parity(TaggingData):
    """Strings of bits and the parity so far at each; no string occurs twice. Training and validation strings have 1 to
    `longest` bits, every length equally likely; those of the test have `test_length`, which is more.
    """

    longest: int = 40
    test_length: int = 160
    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.longest < 1:
            raise ValueError(f"longest={self.longest} is too small: it must be at least 1")
        if self.test_length <= self.longest:
            raise ValueError(f"test_length={self.test_length} must be above longest={self.longest}: it tests memory")

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
        return {split: [Example(bits, parities(bits)) for bits in found] for split, found in strings.items()}


def draw(shortest: int, longest: int, count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    lengths = (generator.randint(shortest, longest) for _ in range(count))
    return ["".join(generator.choices("01", k=length)) for length in lengths]


def parities(bits: str) -> list[str]:
    """The parity of the bits up to each."""
    found, odd = [], False
    for bit in bits:
        odd ^= bit == "1"
        found.append("1" if odd else "0")
    return found
