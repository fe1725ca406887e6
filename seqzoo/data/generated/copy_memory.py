"""The copying memory problem: repeat symbols after a long pause.

Source: Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; in the form of Arjovsky, Shah & Bengio, Unitary
Evolution Recurrent Neural Networks, 2016 (section 4.1), https://arxiv.org/abs/1511.06464

    inputs   symbols  _ x (T - 1)  :  _ x symbols       where _ is a blank
    targets  _ x (T + symbols)        the symbols
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.splits import split_sizes

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
BLANK, DELIMITER = "_", ":"


@dataclass(eq=False, kw_only=True)
class CopyMemory(TaggingData):
    """Sequences of T + 2 `symbols` steps; no two have the same symbols. The best loss without memory is
    symbols log(alphabet_size) / (T + 2 symbols) nats, 0.0945 by default.

    Args:
        steps: T, the lag between the last symbol of the input and the first of the output.
        symbols: number of symbols to remember.
        alphabet_size: number of different symbols.
    """

    steps: int = 200
    symbols: int = 10
    alphabet_size: int = 8
    train_size: int = 10_000
    validation_size: int = 500
    test_size: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "steps", "symbols")
        if not 2 <= self.alphabet_size <= len(ALPHABET):
            raise ValueError(f"alphabet_size={self.alphabet_size} must be between 2 and {len(ALPHABET)}")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.alphabet_size + 4, self.alphabet_size + 1)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        strings = distinct_splits(self._draw, split_sizes(self))
        return {split: [self._example(text) for text in texts] for split, texts in strings.items()}

    def _draw(self, count: int, seed: int) -> list[str]:
        generator, letters = random.Random(seed), ALPHABET[: self.alphabet_size]
        return ["".join(generator.choices(letters, k=self.symbols)) for _ in range(count)]

    def _example(self, text: str) -> Example:
        source = text + BLANK * (self.steps - 1) + DELIMITER + BLANK * self.symbols
        return Example(source, list(BLANK * (self.steps + self.symbols) + text))
