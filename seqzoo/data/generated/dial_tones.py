"""Telephone numbers as sound: each key is a pair of tones (dual-tone multi-frequency signalling) in noise.

Source: ITU-T Recommendation Q.23, Technical features of push-button telephone sets, 1988
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.label_codecs import label_codec
from seqzoo.data.sounds import Sounds, TranscribedData
from seqzoo.data.sources.label_tracks import Segment
from seqzoo.data.splits import GENERATION_SEED, SPLITS, split_sizes
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS

KEYS = "123A456B789C*0#D"
ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
"""Frequencies in Hz of the rows and columns of the keys."""
RATE = 4_000
SHORTEST, LONGEST = 0.03, 0.12
"""Limits of the durations of tones and pauses in seconds."""


@dataclass(eq=False, kw_only=True)
class DialTones(TranscribedData):
    """Random keys. Durations, loudness and noise of training examples are new in every epoch; the keys are the same in
    all runs.

    Args:
        longest: maximum number of keys.
        noise: standard deviation of the noise; that of the tones is between 0.1 and 0.5.
        target: "keys": all of them, as a text; "segments": the key that sounds, for each step.
        silence: the label of steps without a tone.
        train_size, validation_size, test_size: number of examples.
    """

    acts_with: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("tokenizer", "min_frequency", "vocabulary_size"), "target=keys"),
        "silence": "target=segments",
    }

    longest: int = 7
    noise: float = 0.1
    target: Literal["keys", "segments"] = "keys"
    silence: str = "silence"
    train_size: int = 1_000
    validation_size: int = 200
    test_size: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise <= 10:
            raise ValueError(f"noise={self.noise} is a standard deviation, at least 0 and at most 10")

    @property
    def kind(self) -> str:
        return "transduction" if self.target == "keys" else "tagging"

    def expected_spec(self) -> DataSpec:
        if self.target == "segments":
            return self._spec(self.rate or RATE, label_codec(dict.fromkeys([*KEYS, self.silence], "")))
        if self.tokenizer != "characters":
            return super().expected_spec()
        return self._spec(self.rate or RATE, TextCodec.learn("characters", [KEYS], TARGET_SPECIALS))

    def read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        rate = rate or RATE
        sounds: dict[str, Sounds] = {}
        for split, numbers in distinct_splits(self._draw, split_sizes(self)).items():
            seed = self.seed if split == "train" else GENERATION_SEED + SPLITS.index(split)
            sounds[split] = Dialled(numbers[: self.limit], rate, self.noise, seed, self.target == "segments")
        return sounds, rate

    def _draw(self, number: int, seed: int) -> list[str]:
        generator = random.Random(seed)
        sizes = (generator.randint(1, self.longest) for _ in range(number))
        return ["".join(generator.choices(KEYS, k=size)) for size in sizes]


class _Signal(NamedTuple):
    """How a number is dialled.

    Attributes:
        durations: of a pause, and of each tone and the pause after it, in samples.
        loudness: of each of the two tones.
        seed: of the noise.
    """

    durations: list[int]
    loudness: float
    seed: int


class Dialled:
    """The signals of one split.

    Args:
        numbers: the keys of each signal.
        rate: sampling rate in Hz.
        noise: its standard deviation.
        seed: of the random choices, together with the epoch.
        timed: targets are the segments of the tones.
    """

    def __init__(self, numbers: list[str], rate: int, noise: float, seed: int, timed: bool = False):
        self.where, self.rate, self.noise, self.seed, self.timed = numbers, rate, noise, seed, timed
        self._planned: tuple[int, list[_Signal]] | None = None

    def targets(self, epoch: int) -> Sequence[str | tuple[Segment, ...]]:
        return [*map(self._segments, self.where, self._plan(epoch))] if self.timed else self.where

    def _segments(self, keys: str, signal: _Signal) -> tuple[Segment, ...]:
        """When each key sounds."""
        ends = [end / self.rate for end in accumulate(signal.durations)]
        return tuple(map(Segment, ends[::2], ends[1::2], keys))

    def lengths(self, epoch: int) -> list[int]:
        return [sum(signal.durations) for signal in self._plan(epoch)]

    def gather(self, rows: list[int], epoch: int) -> list[Tensor]:
        plan = self._plan(epoch)
        return [self._sound(self.where[row], plan[row]) for row in rows]

    def _plan(self, epoch: int) -> list[_Signal]:
        if self._planned is None or self._planned[0] != epoch:
            generator = random.Random(f"{self.seed} {epoch}")
            self._planned = (epoch, [self._signal(number, generator) for number in self.where])
        return self._planned[1]

    def _signal(self, keys: str, generator: random.Random) -> _Signal:
        durations = [round(self.rate * generator.uniform(SHORTEST, LONGEST)) for _ in range(2 * len(keys) + 1)]
        return _Signal(durations, generator.uniform(0.1, 0.5), generator.randrange(2**31))

    def _sound(self, keys: str, signal: _Signal) -> Tensor:
        first, *durations = signal.durations
        parts = [torch.zeros(first)]
        for key, tone, pause in zip(keys, durations[::2], durations[1::2], strict=True):
            parts += [signal.loudness * pair_of_tones(key, tone, self.rate), torch.zeros(pause)]
        sound = torch.cat(parts)
        return sound + self.noise * torch.randn(len(sound), generator=generator_at(signal.seed))


def pair_of_tones(key: str, samples: int, rate: int) -> Tensor:
    """The sum of the two tones of a key of KEYS, (N,)."""
    place = KEYS.index(key)
    time = torch.arange(samples) * (2 * math.pi / rate)
    return torch.sin(ROWS[place // 4] * time) + torch.sin(COLUMNS[place % 4] * time)
