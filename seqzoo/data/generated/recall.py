"""Associative recall: pairs of keys and values, then one of the keys, whose value is the answer.

Source: Graves, Wayne & Danihelka, Neural Turing Machines, 2014 (section 4.3), https://arxiv.org/abs/1410.5401
in the form of Ba, Hinton, Mnih, Leibo & Ionescu, Using Fast Weights to Attend to the Recent Past, 2016 (section 4.1),
https://arxiv.org/abs/1610.06258

    c9k8j3f1k -> 8
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import ClassificationData, Example
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.splits import split_sizes

KEYS, VALUES = string.ascii_lowercase, string.digits


@dataclass(eq=False, kw_only=True)
class Recall(ClassificationData):
    """Sequences of 2 `pairs` + 1 steps; no sequence occurs twice. The keys of a sequence differ. Each pair is queried
    with equal probability, so that an answer is up to 2 `pairs` - 1 steps back.

    Args:
        pairs: number of pairs of a sequence.
        keys: number of different keys.
        values: number of different values.
    """

    pairs: int = 8
    keys: int = 26
    values: int = 10
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.keys <= len(KEYS):
            raise ValueError(f"keys={self.keys} must be between 1 and {len(KEYS)}")
        if not 2 <= self.values <= len(VALUES):
            raise ValueError(f"values={self.values} must be between 2 and {len(VALUES)}")
        if not 1 <= self.pairs <= self.keys:
            raise ValueError(f"pairs={self.pairs} must be between 1 and keys={self.keys}: no key occurs twice")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.keys + self.values + 2, self.values)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        texts = distinct_splits(self._draw, split_sizes(self))
        return {split: [Example(text, answer(text)) for text in drawn] for split, drawn in texts.items()}

    def _draw(self, count: int, seed: int) -> list[str]:
        generator = random.Random(seed)
        texts = []
        for _ in range(count):
            keys = generator.sample(KEYS[: self.keys], self.pairs)
            values = generator.choices(VALUES[: self.values], k=self.pairs)
            pairs = "".join(key + value for key, value in zip(keys, values, strict=True))
            texts.append(pairs + generator.choice(keys))
        return texts


def answer(text: str) -> str:
    """The value of the last key."""
    return text[text.index(text[-1]) + 1]
