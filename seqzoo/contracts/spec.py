"""What a model must know of its data: sizes, codecs and vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from seqzoo.contracts.errors import DataError


class Codec(Protocol):
    """Text to ids and back; `seqzoo.data.text.codec` holds the ones there are.

    unit: what a token is, in the plural: words, characters, pieces of words, ...
    """

    @property
    def unit(self) -> str: ...
    @property
    def size(self) -> int: ...
    def encode(self, text: str | list[str]) -> list[int]: ...
    def tokens(self, ids: list[int]) -> list[str]: ...
    def join(self, tokens: list[str]) -> str: ...
    def decode(self, ids: list[int]) -> str: ...
    def to_plain(self) -> dict[str, Any]: ...


class SpellingCodec(Codec, Protocol):
    """How a token is written, to ids and back."""

    def written(self, tokens: list[str]) -> list[str]:
        """What is encoded of each token of a row."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of words that were learned elsewhere: what an encoder starts from.

    words, found, share: different words of the training split, how many of them have a vector, and what share of its
        tokens these are; saved with a run.
    ids, values: (N,) ids of the vocabulary and their vectors (N, E); None in a finished run, whose weights have them.
    """

    words: int
    found: int
    share: float
    ids: Tensor | None = None
    values: Tensor | None = None


@dataclass(frozen=True)
class DataSpec:
    """What a model must know of its data; saved with a run, so that a model loads without its data.

    kind: what its batches hold, such as "tagging" (a label for each step); tasks say which kind they read.
    input_size: how many different ids there are, or features a step.
    output_size: classes, tags, ids of the target vocabulary, or numbers a target.
    inputs, targets: text to ids and back; None before the data has been read, and where there are numbers.
    per_step: of numbers as targets: whether each step has its own.
    marked: whether each input marks its target, as `seqzoo.data.sources.marked_text` reads it.
    class_counts: training examples of each class, where targets are classes and they have been counted.
    vectors: of the words of `inputs`, where the data brings some.
    character_size: how many different ids there are in `Batch.spelling`; 0 where batches have none.
    characters: a token to the ids of its characters, or of what is spelled in place of them.
    picture: [C, Y, X], the size of a picture, or of each frame of a clip, where inputs are pictures; input_size is C.
    """

    kind: str
    input_size: int
    output_size: int
    inputs: Codec | None = None
    targets: Codec | None = None
    per_step: bool = False
    marked: bool = False
    class_counts: list[int] | None = None
    vectors: WordVectors | None = None
    character_size: int = 0
    characters: SpellingCodec | None = None
    picture: list[int] | None = None

    @property
    def given_as_files(self) -> bool:
        """Whether an input is a file, a picture or its features, and not a text or a line of numbers."""
        return self.inputs is None and self.kind == "transduction"

    @property
    def input_codec(self) -> Codec:
        """`inputs`, for whoever reads text.

        Raises:
            DataError: where there is none.
        """
        return _required(self.inputs, "inputs")

    @property
    def target_codec(self) -> Codec:
        """`targets`, for whoever writes text.

        Raises:
            DataError: where there is none.
        """
        return _required(self.targets, "targets")


def _required(codec: Codec | None, side: str) -> Codec:
    if codec is None:
        raise DataError(f"The {side} have no vocabulary: they are numbers, or the data has not been read yet.")
    return codec
