"""The copy task: repeat a random string, forwards or backwards."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import partial

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.examples import Example, TransductionData
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.splits import split_sizes

ALPHABET = string.ascii_letters + string.digits


@dataclass(eq=False, kw_only=True)
class Copying(TransductionData):
    """Random strings; no string occurs twice.

    Args:
        reverse: the answer is the reversed string.
        shortest: minimum length.
        longest: maximum length; all lengths are equally likely.
        held_out_length: length of the strings of the validation and test splits, to test generalisation to longer
            ones; None: as in training.
        alphabet_size: number of different letters.
    """

    reverse: bool = False
    shortest: int = 1
    longest: int = 20
    held_out_length: int | None = None
    alphabet_size: int = 26
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.alphabet_size <= len(ALPHABET):
            raise ValueError(f"alphabet_size={self.alphabet_size} must be between 1 and {len(ALPHABET)}")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"shortest={self.shortest} must be between 1 and longest={self.longest}")
        check_at_least_one(self, "held_out_length")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.alphabet_size + 2, self.alphabet_size + 4)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def tokenizer_of_targets(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        strings = distinct_splits(partial(self._draw, self.shortest, self.longest), split_sizes(self))
        if self.held_out_length is not None:
            draw = partial(self._draw, self.held_out_length, self.held_out_length)
            held_out = distinct_splits(draw, {"validation": self.validation_size, "test": self.test_size})
            seen = set(strings["train"])
            strings |= {split: [text for text in texts if text not in seen] for split, texts in held_out.items()}
        step = -1 if self.reverse else 1
        return {split: [Example(text, text[::step]) for text in texts] for split, texts in strings.items()}

    def _draw(self, shortest: int, longest: int, count: int, seed: int) -> list[str]:
        generator, letters = random.Random(seed), ALPHABET[: self.alphabet_size]
        lengths = (generator.randint(shortest, longest) for _ in range(count))
        return ["".join(generator.choices(letters, k=length)) for length in lengths]
