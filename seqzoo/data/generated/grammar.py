"""Data sets of generated English: tags, sentiment, missing words, running text. They need no download."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seqzoo.data.examples import ClassificationData, Example, TaggingData
from seqzoo.data.files.cloze_files import ClozeData
from seqzoo.data.generated.english import English, Sentence
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.running_text import RunningText
from seqzoo.data.splits import split_sizes

NUM_WORDS = 400
"""An upper limit of the vocabulary of the grammar."""


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
        splits = distinct_splits(_sentences, split_sizes(self))
        return {split: [Example(drawn.words, drawn.tags) for drawn in sentences] for split, sentences in splits.items()}


@dataclass(eq=False, kw_only=True)
class GrammarSentiment(ClassificationData):
    """Positive or negative opinions in generated sentences; no sentence occurs twice."""

    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    largest_input = NUM_WORDS
    largest_output = 2

    def read(self) -> dict[str, list[Example]]:
        splits = distinct_splits(_opinions, split_sizes(self))
        return {
            split: [Example(drawn.words, drawn.sentiment or "") for drawn in sentences]
            for split, sentences in splits.items()
        }


@dataclass(eq=False, kw_only=True)
class GrammarCloze(ClozeData):
    """Cloze sentences of generated English; no sentence occurs twice."""

    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    largest_input = 400

    def read(self) -> dict[str, list[Example]]:
        splits = distinct_splits(_sentences, split_sizes(self))
        return {split: [Example(drawn.words, "") for drawn in sentences] for split, sentences in splits.items()}


@dataclass(eq=False, kw_only=True)
class GrammarText(RunningText):
    """Running text of generated sentences, one per line; no line occurs twice. Sizes are numbers of sentences."""

    tokenizer: str = "whitespace"
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def read(self) -> dict[str, Iterable[str]]:
        splits = distinct_splits(_sentences, split_sizes(self))
        return {
            split: ["".join(" ".join(drawn.words) + "\n" for drawn in sentences)] for split, sentences in splits.items()
        }
