"""Examples whose sources are words: pretrained vectors, spelling, word dropout."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import located
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.survey import Survey
from seqzoo.data.batching.word_dropout import with_word_dropout
from seqzoo.data.examples import Example, ExampleData, split_source
from seqzoo.data.text.codec import CharacterCodec, PlaceCodec, TextCodec
from seqzoo.data.text.vectors import VectorFile, vector_size
from seqzoo.data.text.vocabulary import Vocabulary


@dataclass(eq=False, kw_only=True)
class WordData(ExampleData):
    """Options of data sets whose sources are words.

    Args:
        characters: maximum number of characters of a word for an encoder that reads them; a longer word is represented
            by its beginning and its end. Characters that occur in a single training word are unknown. 0: none.
        word_places: for Chinese characters, the encoder reads the position of each in its word
            (`seqzoo.data.text.codec.PlaceCodec`).
        vectors: a file of pretrained word vectors (GloVe, word2vec, fastText) that initialise the encoder; None: none.
        vectors_words: which words with a pretrained vector join the vocabulary: those of all splits (data), or all of
            the file (all), for texts that come later.
        word_dropout: w; a training word that occurs n times is read as `<unk>` with probability w / (w + n)
            (`seqzoo.data.batching.word_dropout`).
    """

    acts_with: ClassVar[dict[str, str]] = {"vectors_words": "vectors!=null"}

    characters: int = 0
    word_places: bool = False
    vectors: str | None = None
    vectors_words: Literal["data", "all"] = "data"
    word_dropout: float = 0.0

    largest_alphabet: ClassVar[int] = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.word_dropout < 0:
            raise ValueError(f"word_dropout={self.word_dropout} must be 0 (none) or more")
        if self.characters < 0:
            raise ValueError(f"characters={self.characters} must be 0 (none) or more")
        if self.characters and self.word_places:
            raise ValueError(f"characters={self.characters} and word_places=true exclude each other: give one of them")

    def expected_spec(self) -> DataSpec:
        spelled = self.characters or self.word_places
        return replace(super().expected_spec(), character_size=self.largest_alphabet if spelled else 0)

    @abstractmethod
    def path(self, name: str) -> str:
        """The path of a file that an option names."""

    def measure(self, examples: list[Example]) -> Survey:
        size = None if self.vectors is None else vector_size(self.path(self.vectors))
        return replace(super().measure(examples), vector_size=size)

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        spec = super().enriched(spec, examples)
        if not self.characters and not self.word_places and self.vectors is None:
            return spec
        counts = {split: _count_words(spec, all_of_split) for split, all_of_split in examples.items()}
        if self.origin is not None and self.origin.characters is not None:
            spec = replace(spec, character_size=self.origin.character_size, characters=self.origin.characters)
        elif self.characters:
            alphabet = Counter(character for word in counts["train"] for character in set(word))
            letters = CharacterCodec(Vocabulary.from_counts(alphabet, min_frequency=2), self.characters)
            spec = replace(spec, character_size=letters.size, characters=letters)
        elif self.word_places:
            places = PlaceCodec()
            spec = replace(spec, character_size=places.size, characters=places)
        codec = spec.inputs
        if self.vectors is None or not isinstance(codec, TextCodec):
            return spec
        words = {word for count in counts.values() for word in count}
        file = VectorFile(self.path(self.vectors), words if self.vectors_words == "data" else None)
        if self.vocabulary_size is None:
            words = {word for word in words if file.row(word) is not None}
            if self.vectors_words == "all":
                words |= file.ids.keys()
            codec = codec.with_words(sorted(words - codec.vocabulary.ids.keys()))
        vectors = file.of(codec.vocabulary, counts["train"])
        return replace(spec, input_size=codec.size, inputs=codec, vectors=vectors)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        batches = super().batches(split, epoch, start)
        if split != "train" or not self.word_dropout:
            return batches
        counts = self._encoded["train"].inputs.ids.bincount(minlength=self.spec.input_size)
        return with_word_dropout(batches, self.word_dropout, counts, self.seed, epoch, start)


def _count_words(spec: DataSpec, examples: list[Example]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for example in examples:
        with located(example.where):
            counts.update(filter(None, split_source(spec, example.source)[0]))
    return counts
