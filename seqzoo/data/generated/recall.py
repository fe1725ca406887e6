"""Associative recall: pairs of a key and a value, then one of the keys; answer its value.

Graves, Wayne & Danihelka, Neural Turing Machines, 2014 (section 4.3), https://arxiv.org/abs/1410.5401
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

KEYS, VALUES = string.ascii_lowercase, string.digits


@dataclass(eq=False, kw_only=True)
class Recall(ClassificationData):
    """Sequences of 2 `pairs` + 1 steps; the keys of one differ, its values need not. No sequence occurs twice. Every
    pair is asked for equally often, so that an answer lies up to 2 `pairs` - 1 steps back.

    keys, values: different keys and values to draw from.
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
            raise ValueError(f"keys={self.keys} must lie between 1 and {len(KEYS)}")
        if not 2 <= self.values <= len(VALUES):
            raise ValueError(f"values={self.values} must lie between 2 and {len(VALUES)}")
        if not 1 <= self.pairs <= self.keys:
            raise ValueError(f"pairs={self.pairs} must lie between 1 and keys={self.keys}: no key occurs twice")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.keys + self.values + 2, self.values)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        texts = distinct_splits(self._draw, sizes)
        return {split: [Example(text, answer(text)) for text in found] for split, found in texts.items()}

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
    """The value behind the key that comes last."""
    return text[text.index(text[-1]) + 1]
