"""Tasks on generated English: tags, sentiment, missing words, running text. Nothing has to be fetched; the answers are
exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seqzoo.data.examples import ClassificationData, Example, TaggingData
from seqzoo.data.files.cloze_files import ClozeData
from seqzoo.data.generated.english import English, Sentence
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.running_text import RunningText

NUM_WORDS = 400
"""More than the grammar knows."""


def _sentences(count: int, seed: int) -> list[Sentence]:
    english = English(seed)
    return [english.sentence() for _ in range(count)]


def _opinions(count: int, seed: int) -> list[Sentence]:
    english = English(seed)
    return [english.opinion() for _ in range(count)]


@dataclass(eq=False, kw_only=True)
class GrammarTags(TaggingData):
    """Universal part-of-speech tags of generated sentences; no sentence occurs twice."""

    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    largest_input = NUM_WORDS
    largest_output = 17

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        splits = distinct_splits(_sentences, sizes)
        return {split: [Example(found.words, found.tags) for found in sentences] for split, sentences in splits.items()}


@dataclass(eq=False, kw_only=True)
class GrammarSentiment(ClassificationData):
    """Positive or negative opinions in generated sentences; no sentence occurs twice."""

    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    largest_input = NUM_WORDS
    largest_output = 2

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        splits = distinct_splits(_opinions, sizes)
        return {
            split: [Example(found.words, found.sentiment or "") for found in sentences]
            for split, sentences in splits.items()
        }


@dataclass(eq=False, kw_only=True)
class GrammarCloze(ClozeData):
    """Generated English sentences; none occurs twice."""

    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    largest_input = 400

    def read(self) -> dict[str, list[Example]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        splits = distinct_splits(_sentences, sizes)
        return {split: [Example(found.words, "") for found in sentences] for split, sentences in splits.items()}


@dataclass(eq=False, kw_only=True)
class GrammarText(RunningText):
    """Generated sentences, one a line; no line occurs twice. Sizes count sentences."""

    tokenizer: str = "whitespace"
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def read(self) -> dict[str, Iterable[str]]:
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        splits = distinct_splits(_sentences, sizes)
        return {
            split: ["".join(" ".join(found.words) + "\n" for found in sentences)] for split, sentences in splits.items()
        }
