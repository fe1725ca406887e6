"""Morse code as sound: tones of a random pitch and speed in noise, to be transcribed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.checks import check_sizes
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.sounds import Sounds, TranscribedData
from seqzoo.data.splits import GENERATION_SEED, SPLITS, split_sizes
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS

CODE = {
    "a": ".-", "b": "-...", "c": "-.-.", "d": "-..", "e": ".", "f": "..-.", "g": "--.", "h": "....", "i": "..",
    "j": ".---", "k": "-.-", "l": ".-..", "m": "--", "n": "-.", "o": "---", "p": ".--.", "q": "--.-", "r": ".-.",
    "s": "...", "t": "-", "u": "..-", "v": "...-", "w": ".--", "x": "-..-", "y": "-.--", "z": "--..",
}  # fmt: skip
RATE = 4_000


@dataclass(eq=False, kw_only=True)
class Morse(TranscribedData):
    """Random letters as Morse code. Tones of training examples are new in every epoch; texts are the same in all runs.

    Args:
        longest: maximum number of letters.
        noise: standard deviation of the noise; that of the tones is about 0.35.
        train_size, validation_size, test_size: number of texts.
    """

    longest: int = 4
    noise: float = 0.1
    train_size: int = 1_000
    validation_size: int = 200
    test_size: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self)
        if not 0 <= self.noise <= 10:
            raise ValueError(f"noise={self.noise} is a standard deviation, at least 0 and at most 10")

    def expected_spec(self) -> DataSpec:
        if self.tokenizer != "characters":
            return super().expected_spec()
        return self._spec(self.rate or RATE, TextCodec.learn("characters", ["".join(CODE)], TARGET_SPECIALS))

    def read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        rate = rate or RATE
        sounds: dict[str, Sounds] = {}
        for split, texts in distinct_splits(self._draw, split_sizes(self)).items():
            seed = self.seed if split == "train" else GENERATION_SEED + SPLITS.index(split)
            sounds[split] = Signals(texts[: self.limit], rate, self.noise, seed)
        return sounds, rate

    def _draw(self, number: int, seed: int) -> list[str]:
        generator = random.Random(seed)
        sizes = (generator.randint(1, self.longest) for _ in range(number))
        return ["".join(generator.choices(list(CODE), k=size)) for size in sizes]


class _Tones(NamedTuple):
    """How a text is sent.

    Attributes:
        marks: duration of each tone or pause in samples, and whether it is a tone.
        pitch: frequency in Hz.
        seed: of the noise.
    """

    marks: list[tuple[int, bool]]
    pitch: float
    seed: int


class Signals:
    """The signals of one split.

    Args:
        texts: what is sent.
        rate: sampling rate in Hz.
        noise: its standard deviation.
        seed: of pitch, speed and noise, together with the epoch.
    """

    def __init__(self, texts: list[str], rate: int, noise: float, seed: int):
        self.texts, self.rate, self.noise, self.seed = texts, rate, noise, seed
        self.where = texts
        self._planned: tuple[int, list[_Tones]] | None = None

    def targets(self, epoch: int) -> list[str]:
        return self.texts

    def lengths(self, epoch: int) -> list[int]:
        return [sum(length for length, _ in tones.marks) for tones in self._plan(epoch)]

    def gather(self, rows: list[int], epoch: int) -> list[Tensor]:
        plan = self._plan(epoch)
        return [self._sound(plan[row]) for row in rows]

    def _plan(self, epoch: int) -> list[_Tones]:
        if self._planned is None or self._planned[0] != epoch:
            generator = generator_at(self.seed, epoch)
            chosen = torch.rand(len(self.texts), 2, generator=generator).tolist()
            seeds = torch.randint(2**31, (len(self.texts),), generator=generator).tolist()
            plan = [
                _Tones(marks(text, round(self.rate * (0.025 + 0.015 * slow))), 400 + 500 * high, seed)
                for text, (slow, high), seed in zip(self.texts, chosen, seeds, strict=True)
            ]
            self._planned = (epoch, plan)
        return self._planned[1]

    def _sound(self, tones: _Tones) -> Tensor:
        lengths, sounding = zip(*tones.marks, strict=True)
        key = torch.tensor(sounding).float().repeat_interleave(torch.tensor(lengths))
        wave = torch.sin(2 * math.pi * tones.pitch / self.rate * torch.arange(len(key)))
        generator = torch.Generator().manual_seed(tones.seed)
        return 0.5 * key * wave + self.noise * torch.randn(len(key), generator=generator)


def marks(text: str, unit: int) -> list[tuple[int, bool]]:
    """The durations of the tones and pauses of a text: a dash lasts three units, a pause between letters, too.

    Args:
        text: letters of CODE.
        unit: duration of a dot.
    """
    durations = [(3 * unit, False)]
    for letter in text:
        for sign in CODE[letter]:
            durations += [(3 * unit if sign == "-" else unit, True), (unit, False)]
        durations[-1] = (3 * unit, False)
    return durations
