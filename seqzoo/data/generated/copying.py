"""Memory as a task: write down the random string that was read, forwards or backwards."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import partial

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import Example, TransductionData
from seqzoo.data.generated.generating import distinct_splits

ALPHABET = string.ascii_letters + string.digits


@dataclass(eq=False, kw_only=True)
class Copying(TransductionData):
    """Strings of `shortest` to `longest` letters, every length equally likely; no string occurs twice.

    reverse: the answer is the string from its end to its start.
    held_out_length: letters of all strings of the validation and test splits; None: as many as those of training. A
        larger number asks whether what was learned holds for longer ones.
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
            raise ValueError(f"alphabet_size={self.alphabet_size} must lie between 1 and {len(ALPHABET)}")
        if not 1 <= self.shortest <= self.longest:
            raise ValueError(f"shortest={self.shortest} must lie between 1 and longest={self.longest}")
        if self.held_out_length is not None and self.held_out_length < 1:
            raise ValueError(f"held_out_length={self.held_out_length} is too small: it must be at least 1")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, self.alphabet_size + 2, self.alphabet_size + 4)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def tokenizer_of_targets(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        strings = distinct_splits(partial(self._draw, self.shortest, self.longest), sizes)
        if self.held_out_length is not None:
            draw = partial(self._draw, self.held_out_length, self.held_out_length)
            longer = distinct_splits(draw, {"validation": self.validation_size, "test": self.test_size})
            seen = set(strings["train"])
            strings |= {split: [text for text in found if text not in seen] for split, found in longer.items()}
        step = -1 if self.reverse else 1
        return {split: [Example(text, text[::step]) for text in found] for split, found in strings.items()}

    def _draw(self, shortest: int, longest: int, count: int, seed: int) -> list[str]:
        generator, letters = random.Random(seed), ALPHABET[: self.alphabet_size]
        lengths = (generator.randint(shortest, longest) for _ in range(count))
        return ["".join(generator.choices(letters, k=length)) for length in lengths]
