"""Copying memory: symbols, a long nothing, then write the symbols.

Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; in the form of Arjovsky, Shah & Bengio, Unitary Evolution
Recurrent Neural Networks, 2016 (section 4.1), https://arxiv.org/abs/1511.06464

    inputs   symbols  _ x (T - 1)  :  _ x symbols       with as many blanks _ as it takes
    targets  _ x (T + symbols)        the symbols
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.generating import distinct_splits

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
BLANK, DELIMITER = "_", ":"


@dataclass(eq=False, kw_only=True)
class CopyMemory(TaggingData):
    """Sequences of T + 2 `symbols` steps; no two have the same symbols. Without memory the loss stays at
    symbols log(alphabet_size) / (T + 2 symbols) nats: 0.0945 by default.

    steps: T, from the last symbol to the first that is written. symbols: how many to remember.
    alphabet_size: different symbols.
    """

    steps: int = 200
    symbols: int = 10
    alphabet_size: int = 8
    train_size: int = 10_000
    validation_size: int = 500
    test_size: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "symbols"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is too small: it must be at least 1")
        if not 2 <= self.alphabet_size <= len(ALPHABET):
            raise ValueError(f"alphabet_size={self.alphabet_size} must lie between 2 and {len(ALPHABET)}")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.alphabet_size + 4, self.alphabet_size + 1)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        strings = distinct_splits(self._draw, sizes)
        return {split: [self._example(text) for text in found] for split, found in strings.items()}

    def _draw(self, count: int, seed: int) -> list[str]:
        generator, letters = random.Random(seed), ALPHABET[: self.alphabet_size]
        return ["".join(generator.choices(letters, k=self.symbols)) for _ in range(count)]

    def _example(self, text: str) -> Example:
        source = text + BLANK * (self.steps - 1) + DELIMITER + BLANK * self.symbols
        return Example(source, list(BLANK * (self.steps + self.symbols) + text))
