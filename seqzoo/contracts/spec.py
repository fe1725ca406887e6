"""The description of a data set that a model is built from: sizes, codecs and word vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.tree_notation import TreeForm

FASTEST_RATE = 1_000_000
"""Maximum sampling rate of sound, in Hz."""


class Codec(Protocol):
    """Converts text to ids and back; implementations are in `seqzoo.data.text.codec`.

    Attributes:
        unit: the kind of token, in the plural: words, characters, pieces of words, ...
        size: size of the vocabulary.
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
    """Converts the spelling of a token to ids and back."""

    def written(self, tokens: list[str]) -> list[str]:
        """The text that is encoded for each token of a row."""
        ...


class MostChildren(NamedTuple):
    """The largest number of children of a node, over all splits.

    Args:
        number: of children.
        where: file and line of such a tree; empty: unknown.
    """

    number: int
    where: str = ""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Pretrained word vectors that an encoder starts from.

    Args:
        words: number of different words in the training split; saved with a run, like the next two.
        known: number of those with a vector.
        share: their share of the tokens of the training split.
        ids: ids of the vocabulary that have a vector, (N,); None in a finished run, whose weights hold the vectors.
        values: the vectors, (N, E).
    """

    words: int
    known: int
    share: float
    ids: Tensor | None = None
    values: Tensor | None = None


@dataclass(frozen=True)
class TrainingText:
    """The training split of running text, which models of n-grams count.

    Args:
        size: number of its ids; saved with a run.
        ids: (size,), of any integer type; None in a finished run, whose weights hold them if the model has n-grams.
        starts: (B,) where the streams begin. Each ends with the first id of the next one, which is its last target.
        separator: the id that each document of a stream begins with; None: there are no documents.
    """

    size: int
    ids: Tensor | None = None
    starts: Tensor | None = None
    separator: int | None = None


@dataclass(frozen=True)
class Channels:
    """How the measurements of a step become inputs: (value - mean) / scale, fitted on the training split.

    Args:
        names: of the C channels.
        means, scales: of each channel.
        changes: mean absolute difference of neighbouring values of each channel.
        masked: whether values may be missing. Inputs then also hold, for each channel, whether its value is there, and
            the time since it last was.
        interval: the usual time between steps, where it varies; inputs then also hold the time since the step before,
            in this unit. None: steps are at equal distances, or without times.
        window: rows of the series that are forecast have this number of known steps, and are relative to the first of
            them (`Batch.levels`); None: rows are not relative.
        ahead: number of last channels that are known in advance: the inputs of a step hold their values at the next
            step, which is predicted. 0 in runs of older versions, which read those of the step itself.
    """

    names: list[str]
    means: list[float]
    scales: list[float]
    changes: list[float]
    masked: bool = False
    interval: float | None = None
    window: int | None = None
    ahead: int = 0

    @property
    def input_size(self) -> int:
        """The number of inputs per step."""
        return len(self.names) * (3 if self.masked else 1) + (self.interval is not None)


@dataclass(frozen=True)
class DataSpec:
    """The description of a data set that a model is built from; saved with a run, so that a model loads without data.

    Args:
        kind: form of the batches, such as "tagging" (a label for each step); a task names the kind that it reads.
        input_size: size of the input vocabulary, or number of features per step.
        output_size: number of classes or tags, size of the target vocabulary, or numbers per target.
        inputs, targets: codecs; None before the data has been read, and for numbers.
        per_step: for numeric targets: whether each step has its own.
        marked: whether inputs mark their target span, as `seqzoo.data.sources.marked_text` reads it.
        class_counts: number of training examples of each class; None: not counted, or targets are not classes.
        vectors: pretrained vectors of the words of `inputs`, if the data provides any.
        character_size: size of the character vocabulary of `Batch.spelling`; 0: batches have no spelling.
        characters: codec of the characters of a token, or of what is used in their place.
        picture: [C, Y, X], size of a picture or of each frame of a clip, for picture inputs; input_size is then C.
        lines: whether pictures are lines of text of any width; the last number of `picture` is then a usual width.
        rate: sampling rate in Hz of sound, whose steps are blocks of input_size samples; None: other inputs.
        channels: how measurements become inputs; None: inputs are not scaled.
        steps_per_quarter: steps per quarter note of music, whose steps are frames of notes; None: other inputs.
        text: the training split, where it is running text.
        next_values: for numeric targets: whether they are the values of the first inputs at the next step.
        trees: how a text becomes a tree, whose nodes are the steps; None: inputs are sequences.
        children: of the trees that a model is built for; not saved. None: inputs are sequences, or it is not known.
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
    rate: int | None = None
    channels: Channels | None = None
    steps_per_quarter: int | None = None
    text: TrainingText | None = None
    next_values: bool = False
    trees: TreeForm | None = None
    children: MostChildren | None = None
    lines: bool = False

    @property
    def given_as_files(self) -> bool:
        """Whether an input is a file (a recording, a picture or its features) and not a text or a line of numbers."""
        return self.rate is not None or (self.inputs is None and self.kind == "transduction")

    @property
    def input_codec(self) -> Codec:
        """`inputs`, not None.

        Raises:
            DataError: the inputs have no vocabulary.
        """
        return _required(self.inputs, "inputs")

    @property
    def target_codec(self) -> Codec:
        """`targets`, not None.

        Raises:
            DataError: the targets have no vocabulary.
        """
        return _required(self.targets, "targets")


def _required(codec: Codec | None, side: str) -> Codec:
    if codec is None:
        raise DataError(f"the {side} have no vocabulary: they are numbers, or the data has not been read yet")
    return codec
