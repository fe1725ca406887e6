"""Language modelling data: one long text, cut into parallel streams that are read window by window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqzoo.contracts.batch import BEFORE, UNKNOWN, Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec, TrainingText
from seqzoo.contracts.survey import Survey, measure_texts
from seqzoo.data.batching.documents import split_documents
from seqzoo.data.batching.ragged import gather_spans, is_padded
from seqzoo.data.checks import check_at_least_one, check_sizes, check_splits
from seqzoo.data.splits import part_of
from seqzoo.data.text.codec import TextCodec, check_tokenizer
from seqzoo.data.text.extending import extended, for_running_text
from seqzoo.data.text.token_files import encode_pieces
from seqzoo.data.text.tokenizing import LINES
from seqzoo.data.text.vocabulary import EOS, SOURCE_SPECIALS, check_vocabulary_size


class Streams(NamedTuple):
    """A text of n ids cut into B consecutive streams whose lengths differ by at most one.

    The inputs of stream b are the ids from `starts[b]` to `starts[b] + lengths[b] - 1`; its targets are the ids one
    position later. Every id but the first is a target exactly once.

    Attributes:
        ids: (N,)
        starts: (B,)
        lengths: (B,)
    """

    ids: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def cut(cls, ids: Tensor, number: int) -> Streams:
        """Cut ids (N,) into a number of streams."""
        short, longer = divmod(len(ids) - 1, number)
        lengths = torch.full((number,), short)
        lengths[:longer] += 1
        return cls(ids, lengths.cumsum(0) - lengths, lengths)

    def edges(self, window: int, generator: torch.Generator | None = None) -> list[int]:
        """The first step of each window and the end of the last one.

        All streams have a step in each window, so that the last window may be a step longer.

        Args:
            window: steps per window.
            generator: draws random lengths from a normal distribution with standard deviation 5 and mean `window` or,
                with probability 0.05, half of it (Merity et al. 2018, https://arxiv.org/abs/1708.02182). None: all
                windows have the same length.
        """
        edges, shortest, least = [0], int(self.lengths.min()), min(5, window)
        while edges[-1] < shortest:
            steps = window
            if generator is not None:
                mean = window if torch.rand((), generator=generator) < 0.95 else window / 2
                steps = max(least, int(mean + 5 * torch.randn((), generator=generator)))
            edges.append(edges[-1] + steps)
        return [*edges[:-1], int(self.lengths.max())]

    def window(self, first: int, end: int) -> Batch:
        """The steps from `first` up to but not including `end` of each stream, as a batch."""
        lengths = (self.lengths - first).clamp(max=end - first)
        inputs, _ = gather_spans(self.ids, self.starts + first, lengths)
        targets, _ = gather_spans(self.ids, self.starts + first + 1, lengths)
        steps = torch.arange(first - BEFORE, first)
        before = self.ids[(self.starts[:, None] + steps).clamp(min=0)].long().masked_fill(steps < 0, -1)
        return Batch(inputs, lengths, targets, padded=is_padded(lengths), before=before)


@dataclass(eq=False, kw_only=True)
class RunningText(DataModule):
    """The base of language modelling data sets.

    Inputs and targets are (B, T) each; the targets are the inputs one step later. The rows of batch k + 1 continue
    those of batch k. Only the last window of an epoch can be padded, by one step.

    Args:
        tokenizer: `characters`, which include line ends; with any other, each line end is the token `<eos>`.
        batch_size: number of streams in training.
        evaluation_batch_size: number of streams in validation and test.
        window: steps of a batch, over which errors are backpropagated.
        random_windows: draw the lengths of training windows, so that backpropagation is not truncated at the same
            places in every epoch; the learning rate of an update is proportional to the length of its window.
        document_separator: the token that each document begins with. The state is reset there: each row of a batch is
            then a piece of one document.
        limit: maximum number of tokens per split.
        min_frequency: rarer tokens are unknown.
        vocabulary_size: maximum size of the vocabulary; None: no limit.
    """

    tokenizer: str = "characters"
    batch_size: int = 32
    evaluation_batch_size: int = 10
    window: int = 64
    random_windows: bool = False
    document_separator: str | None = None
    limit: int | None = None
    min_frequency: int = 1
    vocabulary_size: int | None = None

    stateful = True

    def __post_init__(self) -> None:
        check_at_least_one(self, "batch_size", "evaluation_batch_size", "window", "limit", "min_frequency")
        check_tokenizer(self._name, self.vocabulary_size)
        check_vocabulary_size(self.vocabulary_size, len(SOURCE_SPECIALS))
        check_sizes(self)

    @property
    def _name(self) -> str:
        """The full name of the tokenizer. Line ends are characters like others; between words they are `<eos>`."""
        return self.tokenizer if self.tokenizer == "characters" else f"{LINES}{self.tokenizer}"

    @abstractmethod
    def read(self) -> dict[str, Iterable[str]]:
        """The texts of "train", "validation" and, where there is one, "test", in pieces of whole lines."""

    def _checked_read(self) -> dict[str, Iterable[str]]:
        """The result of `read`, checked."""
        splits = self.read()
        check_splits(self, splits, Iterable, "an iterable of texts, such as a list")
        if missing := {"train", "validation"} - splits.keys():
            raise DataError(f"the data have no text for {' and '.join(sorted(missing))}: give some")
        return splits

    def survey(self) -> Survey | None:
        splits = self._checked_read()
        lines = {split: [line for piece in splits[split] for line in piece.split("\n")] for split in splits}
        texts = measure_texts(lines["train"])
        return Survey("language_modeling", len(lines["train"]), len(lines["validation"]), texts, ahead=True)

    def expected_spec(self) -> DataSpec:
        size = self.vocabulary_size or (10_000 if self.tokenizer == "characters" else 100_000)
        return DataSpec("language_modeling", size, size)

    def load(self, spec: DataSpec | None = None) -> None:
        if spec is not None and spec.kind != "language_modeling":
            raise DataError(f"the saved run is for {spec.kind}, this data for language_modeling: choose other data")
        texts = self._checked_read()
        if spec is not None:
            codec = spec.inputs
        elif self.origin is not None and isinstance(self.origin.inputs, TextCodec):
            limits = (self.min_frequency, self.vocabulary_size)
            codec = extended(for_running_text(self.origin.inputs), texts["train"], *limits)
        else:
            codec = self.learn(texts["train"])
        if not isinstance(codec, TextCodec):
            raise DataError("the saved run has no vocabulary for this text: was it trained on other data?")
        self._separator = self._id_of_separator(codec)
        self._streams = {split: self._cut(split, text, codec) for split, text in texts.items()}
        ids, starts, _ = self._streams["train"]
        text = TrainingText(len(ids), ids, starts, self._separator)
        # the text has changed since the run was saved, or its version saved no size
        other = spec is not None and (spec.text is None or spec.text.size != text.size)
        kept = spec.text if spec is not None and other else text
        self.spec = DataSpec("language_modeling", codec.size, codec.size, codec, codec, text=kept)

    def splits(self) -> dict[str, int]:
        """The number of targets of each split, one less than its tokens."""
        return {split: int(streams.lengths.sum()) for split, streams in self._streams.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        if self.random_windows and split == "train":
            return len(self._edges(split, epoch)) - 1
        return -(-int(self._streams_of(split).lengths.min()) // self.window)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches in the order of the text. Without random windows, all epochs are the same."""
        streams, edges = self._streams_of(split), self._edges(split, epoch)
        last = None
        # the first batch continues rows of the one before it
        for number in range(start if self._separator is None else max(0, start - 1), len(edges) - 1):
            batch = streams.window(edges[number], edges[number + 1])
            if self.random_windows and split == "train":
                batch.learning_rate_scale = (edges[number + 1] - edges[number]) / self.window
            if self._separator is not None:
                batch, last = split_documents(batch, self._separator, last)
            if number >= start:
                yield batch

    def _edges(self, split: str, epoch: int) -> list[int]:
        random = self.random_windows and split == "train"
        return self._streams_of(split).edges(self.window, torch.Generator().manual_seed(epoch) if random else None)

    def _id_of_separator(self, codec: TextCodec) -> int | None:
        if self.document_separator is None:
            return None
        line_end = self.document_separator == EOS and codec.eos is not None
        ids = [codec.eos] if line_end else codec.encode(self.document_separator)
        if len(ids) != 1 or ids == [UNKNOWN]:
            raise DataError(
                f"data.document_separator is {self.document_separator!r}, which is not one token of the training text: "
                "give the token that each document begins with"
            )
        return ids[0]

    def _streams_of(self, split: str) -> Streams:
        return part_of(self._streams, split)

    def learn(self, text: Iterable[str]) -> TextCodec:
        """Build the codec from the training text."""
        return TextCodec.learn(self._name, text, min_frequency=self.min_frequency, max_size=self.vocabulary_size)

    def encode(self, text: Iterable[str], codec: TextCodec) -> Tensor:
        """The first `limit` ids of a text, (N,)."""
        return torch.from_numpy(np.concatenate([*encode_pieces(codec, text, self.limit), np.zeros(0, np.uint8)])).long()

    def _cut(self, split: str, text: Iterable[str], codec: TextCodec) -> Streams:
        ids = self.encode(text, codec)
        name = "batch_size" if split == "train" else "evaluation_batch_size"
        number = getattr(self, name)
        if len(ids) <= number:
            raise DataError(
                f"the {split} text has {len(ids)} tokens, too few for data.{name}={number} streams that predict "
                "the next one: give more text"
                + (f", or lower data.{name} to at most {len(ids) - 1}" if len(ids) > 1 else "")
            )
        return Streams.cut(ids, number)
