"""Data sets of pictures with one or several captions each."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError, located
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.bucketed_data import BucketedData
from seqzoo.data.batching.ragged import Ragged
from seqzoo.data.checks import check_at_least_one, check_filled, check_splits
from seqzoo.data.examples import fit
from seqzoo.data.sources.pictures import Pictures
from seqzoo.data.splits import evenly
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS, check_vocabulary_size


class Captioned(NamedTuple):
    """One split.

    Attributes:
        pictures: see `Pictures`.
        captions: one or several of each picture.
        where: file and line of the first caption of each picture, for messages.
    """

    pictures: Pictures
    captions: list[list[str]]
    where: list[str]


class _Encoded(NamedTuple):
    """One split as ids.

    Attributes:
        rows: the rows of `pictures` that are used; the other lists have an item for each of them.
        captions: the ids of all captions, picture after picture.
        first: the row in `captions` of the first caption of each picture.
        number: the number of its captions.
        references: its captions as text.
    """

    pictures: Pictures
    rows: list[int]
    captions: Ragged
    first: list[int]
    number: list[int]
    references: list[list[str]]

    def caption_of(self, row: int, epoch: int) -> int:
        """The row in `captions` of the target of a training picture."""
        return self.first[row] + (epoch + row) % self.number[row]


@dataclass(eq=False, kw_only=True)
class CaptionData(BucketedData):
    """Pictures (B, C, Y, X), or features of their regions (B, R, F), and captions (B, U).

    In training, a picture with several captions has one of them as target in each epoch, in turn. In validation and
    test, the target is the first caption, and all of them are references.
    """

    batch_size: int = 64
    max_length: int = 100
    truncate: bool = False
    tokenizer: str = "words"
    min_frequency: int = 1
    vocabulary_size: int | None = None

    numbers = True
    largest_output: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "max_length", "min_frequency")
        check_vocabulary_size(self.vocabulary_size, len(TARGET_SPECIALS))

    @abstractmethod
    def read(self) -> dict[str, Captioned]:
        """Read the splits "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def input_sizes(self) -> tuple[int, list[int] | None]:
        """The channels and the shape [C, Y, X] of a picture; or the number of features of a region, and None."""

    def expected_spec(self) -> DataSpec:
        return self._spec(None)

    def _spec(self, codec: TextCodec | None) -> DataSpec:
        channels, size = self.input_sizes()
        vocabulary_size = self.vocabulary_size or self.largest_output if codec is None else codec.size
        return DataSpec("transduction", channels, vocabulary_size, None, codec, picture=size)

    def load(self, spec: DataSpec | None = None) -> None:
        splits = self.read()
        check_splits(self, splits, Captioned, "a Captioned")
        if spec is not None and (spec.kind, spec.input_size, spec.picture) != ("transduction", *self.input_sizes()):
            raise DataError("the saved run was trained on other data, or pictures of another size: choose other data")
        check_filled(self, {split: captioned.captions for split, captioned in splits.items()}, "pictures")
        if spec is None:
            texts = [caption for captions in splits["train"].captions for caption in captions]
            options = (TARGET_SPECIALS, self.min_frequency, self.vocabulary_size)
            spec = self._spec(TextCodec.learn(self.tokenizer, texts, *options))
        self.spec = spec
        self._encoded = {split: self._encode(captioned) for split, captioned in splits.items() if captioned.captions}
        self.plan_batches({split: len(encoded.rows) for split, encoded in self._encoded.items()})

    def _encode(self, captioned: Captioned) -> _Encoded:
        codec = self.spec.targets
        if not isinstance(codec, TextCodec) or codec.eos is None:
            raise DataError("the saved run does not write text: was it trained on other data?")
        end = codec.eos

        @cache  # many pictures may have the same caption
        def encode(caption: str) -> tuple[list[int], str]:
            tokens = fit(codec.split(caption), self.max_length, self.truncate, "caption")
            return [*codec.vocabulary.encode(tokens), end], codec.tokenizer.join(tokens)

        rows = evenly(list(range(len(captioned.captions))), self.limit)
        ids: list[list[int]] = []
        first, references = [], []
        for row in rows:
            first.append(len(ids))
            with located(captioned.where[row]):
                encoded = [encode(caption) for caption in captioned.captions[row]]
            ids += [tokens for tokens, _ in encoded]
            references.append([text for _, text in encoded])
        return _Encoded(captioned.pictures, rows, Ragged(ids), first, [len(texts) for texts in references], references)

    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        encoded = self._encoded[split]
        captions = [encoded.first[row] if number is None else encoded.caption_of(row, epoch) for row in rows]
        targets, target_lengths = encoded.captions.gather(captions)
        pictures = encoded.pictures.gather([encoded.rows[row] for row in rows])
        references = [encoded.references[row] for row in rows]
        lengths = torch.full((len(rows),), 1 if pictures.dim() == 4 else pictures.shape[1])
        batch = Batch(pictures, lengths, targets, target_lengths, padded=False, references=references)
        return batch if number is None else self.varied(batch, epoch, number)

    def varied(self, batch: Batch, epoch: int, number: int) -> Batch:
        """Augment a training batch, depending on the epoch and the number of the batch; by default not at all."""
        return batch

    def row_lengths(self, split: str, epoch: int) -> list[int]:
        """The lengths of the targets, so that captions of similar length share a batch."""
        encoded = self._encoded[split]
        chosen = encoded.first
        if split == "train":
            chosen = [encoded.caption_of(row, epoch) for row in range(len(encoded.rows))]
        return encoded.captions.lengths[chosen].tolist()

    def padding_share(self) -> None:
        """Pictures are not padded."""
