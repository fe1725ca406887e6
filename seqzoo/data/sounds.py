"""Data sets of recordings, each with a text, a class, or a label for each step."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import Row
from seqzoo.contracts.errors import DataError, located
from seqzoo.contracts.options import fits
from seqzoo.contracts.own_parts import wrong_result
from seqzoo.contracts.spec import FASTEST_RATE, Codec, DataSpec
from seqzoo.data.batching.bucketed_data import BucketedData
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.checks import check_at_least_one, check_filled, check_splits
from seqzoo.data.label_codecs import check_classes, label_codec, unseen_labels
from seqzoo.data.sources.label_tracks import Segment, check_inside, labels_of_steps
from seqzoo.data.sources.sound import block_size, blocks, resample
from seqzoo.data.text.codec import TextCodec, check_tokenizer
from seqzoo.data.text.vocabulary import TARGET_SPECIALS, check_vocabulary_size

HIGHEST_RATE = 16_000
"""Sampling rate in Hz that is assumed before the files have been read, and the highest that is chosen by itself."""


@runtime_checkable
class Sounds(Protocol):
    """The recordings of one split, whether they are files or put together anew in each epoch. `where` names the files
    of each one, for messages; lengths are numbers of samples.
    """

    @property
    def where(self) -> Sequence[str]: ...

    def targets(self, epoch: int) -> Sequence[str | tuple[Segment, ...]]: ...

    def lengths(self, epoch: int) -> list[int]: ...

    def gather(self, rows: list[int], epoch: int) -> list[Tensor]:
        """The samples of some recordings."""
        ...


class _Encoded(NamedTuple):
    """The targets of a split in an epoch.

    Attributes:
        ids: of each target.
        texts: the targets as text; empty where they are labels of steps.
        steps: the length of each recording in steps.
    """

    ids: list[list[int]]
    texts: list[str]
    steps: list[int]


@dataclass(eq=False, kw_only=True)
class SoundData(BucketedData):
    """Sound in steps of I samples (B, T, I), and texts (B, U), classes (B,) or labels of steps (B, T).

    Args:
        rate: sampling rate in Hz that recordings are converted to; None: that of most training recordings, but at most
            16,000.
        step: length of a step in seconds.
        max_seconds: maximum length of a recording.
        speed: training recordings are played faster or slower, by up to this share (Ko et al., Audio Augmentation for
            Speech Recognition, 2015, https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html).
    """

    rate: int | None = None
    step: float = 0.01
    max_seconds: float = 60.0
    speed: float = 0.0

    silence = "silence"  # label of steps in no segment; an option of data with segments
    numbers = True
    window = 100
    largest_output: ClassVar[int] = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not 1 <= self.rate <= FASTEST_RATE:
            raise ValueError(f"rate={self.rate} must be between 1 and {FASTEST_RATE:,} Hz")
        if not 0 <= self.speed <= 0.5:
            raise ValueError(f"speed={self.speed} must be at least 0 and at most 0.5")
        for name in ("step", "max_seconds"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(f"{name}={getattr(self, name)} is a time in seconds, above 0 and at most 3600")

    @abstractmethod
    def read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        """Read the splits "train", "validation" and, where there is one, "test".

        Args:
            rate: sampling rate in Hz to convert to; None: to be chosen from the recordings.

        Returns:
            The splits, and their sampling rate.
        """

    def _checked_read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        """The result of `read`, checked."""
        result = self.read(rate)
        if not (isinstance(result, tuple) and len(result) == 2 and fits(result[1], int)):
            raise wrong_result(self, "read", result, "a pair, a dict of splits and their sampling rate in Hz")
        check_splits(self, result[0], Sounds, "recordings as in seqzoo.data.sounds.Sounds")
        return result

    @property
    def kind(self) -> str:
        """The `DataSpec.kind`: that of classes, or transduction of texts, or tagging of steps, which have segments as
        targets.
        """
        return "classification"

    def learn_texts(self, texts: list[str]) -> Codec:
        """Build the codec of training texts."""
        raise NotImplementedError

    def expected_spec(self) -> DataSpec:
        return self._spec(self.rate or HIGHEST_RATE, None)

    def _spec(self, rate: int, codec: Codec | None, counts: list[int] | None = None) -> DataSpec:
        size = self.largest_output if codec is None else codec.size
        return DataSpec(self.kind, block_size(rate, self.step), size, None, codec, class_counts=counts, rate=rate)

    def load(self, spec: DataSpec | None = None) -> None:
        if spec is not None and (spec.kind != self.kind or spec.rate is None):
            raise DataError(f"the saved run is for {spec.kind}, this data for {self.kind} of sound: choose other data")
        self._splits, rate = self._checked_read(self.rate if spec is None else spec.rate)
        check_filled(self, {split: sounds.where for split, sounds in self._splits.items()}, "recordings")
        self._check_lengths(rate)
        self.spec = self._learn(rate) if spec is None else spec
        if self.spec.input_size != block_size(rate, self.step):
            raise DataError(f"data.step={self.step} is not that of the saved run: choose the same")
        self._encoded: dict[str, tuple[int, _Encoded]] = {}
        self.plan_batches({split: len(sounds.where) for split, sounds in self._splits.items()})
        for split in self._splits:
            self._of(split, 0)

    def _learn(self, rate: int) -> DataSpec:
        if self.kind == "transduction":
            return self._spec(rate, self.learn_texts([str(text) for text in self._splits["train"].targets(0)]))
        labels = {split: self._labels(sounds, rate) for split, sounds in self._splits.items()}
        counts = Counter(chain.from_iterable(labels["train"]))
        check_classes(counts, "recording")
        where: dict[str, str] = {}
        for split, sounds in self._splits.items():
            for of_recording, place in zip(labels[split], sounds.where, strict=True):
                for label in of_recording:
                    where.setdefault(label, place)
        self.remarks = [*self.remarks, *unseen_labels(where, counts)]
        codec = label_codec(where)
        return self._spec(rate, codec, [counts[label] for label in codec.labels])

    def _labels(self, sounds: Sounds, rate: int, epoch: int = 0) -> list[list[str]]:
        """The class of each recording, or the labels of its steps."""
        size = block_size(rate, self.step)
        return [
            [target] if isinstance(target, str)
            else labels_of_steps(target, -(-length // size), size / rate, self.silence)
            for target, length in zip(sounds.targets(epoch), sounds.lengths(epoch), strict=True)
        ]  # fmt: skip

    def _check_lengths(self, rate: int) -> None:
        for sounds in self._splits.values():
            for target, place, length in zip(sounds.targets(0), sounds.where, sounds.lengths(0), strict=True):
                if not isinstance(target, str):
                    with located(place):
                        check_inside(target, length / rate)
                if length > self.max_seconds * rate:
                    raise DataError(
                        f"{place}: it lasts {length / rate:,.1f} seconds, more than "
                        f"data.max_seconds={self.max_seconds:g}: raise it, or cut the recording"
                    )

    def _of(self, split: str, epoch: int) -> _Encoded:
        """The targets of a split in an epoch; the last epoch is cached."""
        epoch = epoch if split == "train" else 0
        if split in self._encoded and self._encoded[split][0] == epoch:
            return self._encoded[split][1]
        sounds, codec = self._splits[split], self.spec.target_codec
        ids, written = [], []
        if isinstance(codec, TextCodec):
            for text, place in zip(sounds.targets(epoch), sounds.where, strict=True):
                with located(place):
                    tokens = codec.split(str(text))
                    ids.append([*codec.encode(tokens), codec.eos or 0])
                    written.append(codec.join(tokens))
        else:
            for labels, place in zip(self._labels(sounds, self.spec.rate or 0, epoch), sounds.where, strict=True):
                with located(place):
                    ids.append(codec.encode(labels))
        steps = [-(-length // self.spec.input_size) for length in sounds.lengths(epoch)]
        self._encoded[split] = (epoch, _Encoded(ids, written, steps))
        return self._encoded[split][1]

    def row_lengths(self, split: str, epoch: int) -> list[int]:
        return self._of(split, epoch).steps

    def rows(self, split: str) -> Iterator[Row]:
        encoded = self._of(split, 0)
        return map(Row, self._splits[split].where, encoded.steps, encoded.ids)

    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        sounds, encoded = self._splits[split].gather(rows, epoch), self._of(split, epoch)
        targets = [torch.tensor(encoded.ids[row]) for row in rows]
        if number is not None and self.speed:
            generator = generator_at(self.seed, epoch, number)
            sounds = [at_speed(sound, self.speed, generator) for sound in sounds]
        steps = [blocks(sound, self.spec.input_size) for sound in sounds]
        lengths = torch.tensor([len(row) for row in steps])
        inputs, padded = pad_sequence(steps, batch_first=True), is_padded(lengths)
        if self.kind == "classification":
            return Batch(inputs, lengths, torch.cat(targets), padded=padded)
        if self.kind == "tagging":
            targets = [stretched(labels, len(row)) for labels, row in zip(targets, steps, strict=True)]
            return Batch(inputs, lengths, pad_sequence(targets, batch_first=True), padded=padded)
        target_lengths = torch.tensor([len(row) for row in targets])
        references = [[encoded.texts[row]] for row in rows]
        return Batch(
            inputs, lengths, pad_sequence(targets, batch_first=True), target_lengths, padded, references=references
        )


@dataclass(eq=False, kw_only=True)
class TranscribedData(SoundData):
    """Sound with texts.

    Args:
        tokenizer, min_frequency, vocabulary_size: as of `seqzoo.data.text.codec.TextCodec.learn`.
    """

    tokenizer: str = "characters"
    min_frequency: int = 1
    vocabulary_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "min_frequency")
        check_tokenizer(self.tokenizer, self.vocabulary_size)
        check_vocabulary_size(self.vocabulary_size, len(TARGET_SPECIALS))

    @property
    def kind(self) -> str:
        return "transduction"

    def learn_texts(self, texts: list[str]) -> Codec:
        return TextCodec.learn(self.tokenizer, texts, TARGET_SPECIALS, self.min_frequency, self.vocabulary_size)


def at_speed(samples: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A recording (N,) at a random speed, 1 - share to 1 + share in steps of 1 %, which also changes its pitch."""
    percent = round(100 * share)
    change = int(torch.randint(-percent, percent + 1, (), generator=generator))
    return resample(samples, Fraction(100, 100 + change))


def stretched(labels: Tensor, steps: int) -> Tensor:
    """Labels (N,) of the steps of a recording, for the same recording in another number of steps."""
    return labels[torch.arange(steps) * len(labels) // steps]
