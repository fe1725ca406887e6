"""Words of a formal language, trained on short ones and tested on longer ones."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.errors import closest
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.language_table import LANGUAGES
from seqzoo.data.splits import GENERATION_SEED, SPLITS, split_sizes


@dataclass(eq=False, kw_only=True)
class FormalLanguage(TaggingData):
    """Inputs whose answer is read after them, at a step with the token "_" for each of its tokens, as in Deletang et
    al. 2023; or, for words over groups and recall, at the steps of the input. The other steps have no tag.

    Short words occur in training and validation. Test words are longer than all of these; their lengths are at even
    distances.

    Args:
        language: a name in `seqzoo.data.generated.language_table.LANGUAGES`.
        longest: maximum length of inputs in training and validation; lengths from 1 on are equally likely.
        test_longest: maximum length of inputs in the test split, whose minimum is `longest` + 1.

    Raises:
        ValueError: there is no such language, or the test inputs are not longer than the others.
    """

    language: str = "parity_check"
    longest: int = 40
    test_longest: int = 500
    max_length: int = 2000
    train_size: int = 50_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.language not in LANGUAGES:
            raise ValueError(f"language={self.language!r} does not exist{closest(self.language, LANGUAGES)}")
        if self.test_longest <= self.longest:
            raise ValueError(
                f"test_longest={self.test_longest} must be above longest={self.longest}: it tests generalisation to "
                "longer inputs"
            )
        limit = LANGUAGES[self.language].longest
        if limit is not None and self.test_longest > limit:
            raise ValueError(
                f"test_longest={self.test_longest} is too large: inputs of {self.language} have at most {limit} steps"
            )

    def expected_spec(self) -> DataSpec:
        language = LANGUAGES[self.language]
        # besides the alphabet: <pad>, <unk> and the token of empty steps
        return DataSpec(self.kind, len(language.alphabet) + 3 - language.at_once, len(language.tags))

    def tokenizer_of_inputs(self) -> str:
        return "whitespace"

    def read(self) -> dict[str, list[Example]]:
        return {split: self._draw(split, size) for split, size in split_sizes(self).items()}

    def _draw(self, split: str, size: int) -> list[Example]:
        generator = random.Random(GENERATION_SEED + SPLITS.index(split))
        longest = self.longest
        if split == "test":
            lengths = [longest + 1 + i * (self.test_longest - longest) // size for i in range(size)]
        else:
            lengths = [generator.randint(1, longest) for _ in range(size)]
        return [Example(*LANGUAGES[self.language].example(generator, length)) for length in lengths]
