"""Pictures and what is written of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.parts import DataModule
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.bucketing import Plans
from seqzoo.data.batching.ragged import Ragged
from seqzoo.data.examples import evenly, fit, located
from seqzoo.data.sources.pictures import Pictures
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS, check_vocabulary_size


class Captioned(NamedTuple):
    """One split. captions: one or several of each picture; where: file and line of each picture's first."""

    pictures: Pictures
    captions: list[list[str]]
    where: list[str]


class _Encoded(NamedTuple):
    """rows: of the pictures that are used; captions: ids of all their captions, one after the other; first, number: of
    each picture's captions among them; references: its captions as text.
    """

    pictures: Pictures
    rows: list[int]
    captions: Ragged
    first: list[int]
    number: list[int]
    references: list[list[str]]


@dataclass(eq=False, kw_only=True)
class CaptionData(DataModule):
    """Inputs (B, C, Y, X) or, where pictures come as features of their regions, (B, R, F); targets (B, U). A picture
    with several captions is trained on one of them in each epoch, in turn; when held out, it is one row with all of
    them as references, and the first one as target of the loss.
    """

    batch_size: int = 64
    limit: int | None = None
    max_length: int = 100
    truncate: bool = False
    seed: int = 0
    tokenizer: str = "words"
    min_frequency: int = 1
    vocabulary_size: int | None = None

    numbers = True
    largest_output: ClassVar[int] = 100_000

    def __post_init__(self) -> None:
        for name in ("batch_size", "limit", "max_length", "min_frequency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} is too small: it must be at least 1")
        check_vocabulary_size(self.vocabulary_size, len(TARGET_SPECIALS))

    @abstractmethod
    def read(self) -> dict[str, Captioned]:
        """All of "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def input_sizes(self) -> tuple[int, list[int] | None]:
        """Channels of a picture, and its size, [C, Y, X]; or features of a region, and None."""

    def expected_spec(self) -> DataSpec:
        return self._spec(None)

    def _spec(self, codec: TextCodec | None) -> DataSpec:
        channels, size = self.input_sizes()
        vocabulary_size = self.vocabulary_size or self.largest_output if codec is None else codec.size
        return DataSpec("transduction", channels, vocabulary_size, None, codec, picture=size)

    def load(self, spec: DataSpec | None = None) -> None:
        found = self.read()
        if spec is not None and (spec.kind, spec.input_size, spec.picture) != ("transduction", *self.input_sizes()):
            raise DataError("The saved run was trained on other data, or pictures of another size: choose other data.")
        for split in ("train", "validation"):
            if split not in found or not found[split].captions:
                raise DataError(f"The {split} split of the data holds no pictures: give some.")
        if spec is None:
            texts = [caption for captions in found["train"].captions for caption in captions]
            options = (TARGET_SPECIALS, self.min_frequency, self.vocabulary_size)
            spec = self._spec(TextCodec.learn(self.tokenizer, texts, *options))
        self.spec = spec
        self._encoded = {split: self._encode(captioned) for split, captioned in found.items() if captioned.captions}
        self._plans = Plans(self.splits(), self._lengths, self.seed, self.batch_size)

    def _encode(self, found: Captioned) -> _Encoded:
        codec = self.spec.targets
        if not isinstance(codec, TextCodec) or codec.eos is None:
            raise DataError("The saved run writes no text: was it trained on other data?")
        end = codec.eos

        @cache  # many pictures may be described alike
        def encode(caption: str) -> tuple[list[int], str]:
            tokens = fit(codec.split(caption), self.max_length, self.truncate, "caption")
            return [*codec.vocabulary.encode(tokens), end], codec.tokenizer.join(tokens)

        rows = evenly(list(range(len(found.captions))), self.limit)
        ids: list[list[int]] = []
        first, references = [], []
        for row in rows:
            first.append(len(ids))
            with located(found.where[row]):
                encoded = [encode(caption) for caption in found.captions[row]]
            ids += [tokens for tokens, _ in encoded]
            references.append([text for _, text in encoded])
        return _Encoded(found.pictures, rows, Ragged(ids), first, [len(texts) for texts in references], references)

    def splits(self) -> dict[str, int]:
        return {split: len(encoded.rows) for split, encoded in self._encoded.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return self._plans.number(split, epoch)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        plan = self._plans.of(split, epoch)
        captions = self._chosen(split, epoch)
        for number, rows in enumerate(plan[start:], start):
            encoded = self._encoded[split]
            targets, target_lengths = encoded.captions.gather([captions[row] for row in rows])
            pictures = encoded.pictures.gather([encoded.rows[row] for row in rows])
            references = [encoded.references[row] for row in rows]
            lengths = torch.full((len(rows),), 1 if pictures.dim() == 4 else pictures.shape[1])
            batch = Batch(pictures, lengths, targets, target_lengths, padded=False, references=references)
            yield self.varied(batch, epoch, number) if split == "train" else batch

    def varied(self, batch: Batch, epoch: int, number: int) -> Batch:
        """What a training batch becomes, by its epoch and number."""
        return batch

    def _chosen(self, split: str, epoch: int) -> list[int]:
        """Which caption of each picture is the target."""
        encoded = self._encoded[split]
        if split != "train":
            return encoded.first
        places = enumerate(zip(encoded.first, encoded.number, strict=True))
        return [first + (epoch + row) % number for row, (first, number) in places]

    def _lengths(self, split: str, epoch: int) -> list[int]:
        """The length of each picture's target, so that captions of similar length share a batch."""
        return self._encoded[split].captions.lengths[self._chosen(split, epoch)].tolist()
