"""A data module: words whose letters are repeated, and the words."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo import DataSpec
from seqzoo.data.examples import Example, TransductionData

LETTERS = "abcde"


@dataclass(eq=False, kw_only=True)
class Stuttering(TransductionData):
    """aaabcc -> abc. No letter stands in a word twice.

    size: words in all, of which a fifth are held out.
    most: times that a letter is repeated.
    """

    size: int = 400
    most: int = 3

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def tokenizer_of_targets(self) -> str:
        return "characters"

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, len(LETTERS) + 2, len(LETTERS) + 4)  # at most: two special ids, and four

    def read(self) -> dict[str, list[Example]]:
        generator = random.Random(0)
        words = ["".join(generator.sample(LETTERS, generator.randint(2, 4))) for _ in range(self.size)]
        texts = ["".join(letter * generator.randint(1, self.most) for letter in word) for word in words]
        examples = [Example(text, word) for text, word in zip(texts, words, strict=True)]
        tenth = self.size // 10
        return {"train": examples[2 * tenth :], "validation": examples[:tenth], "test": examples[tenth : 2 * tenth]}
