"""The Free Spoken Digit Dataset: single digits, and strings of digits that are put together from them.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset (6 speakers, 10 digits, 50 recordings of each)
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.files.sound_files import RecordedData, Recording, SoundFiles
from seqzoo.data.sounds import Sounds, TranscribedData
from seqzoo.data.sources.sound import sound_files
from seqzoo.data.splits import GENERATION_SEED, SPLITS, split_sizes
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS

TEST, VALIDATION = range(5), range(5, 8)
"""The numbers of the test recordings in the official split, and of those that are held out of training here."""
_NAME = re.compile(r"([0-9])_([^_]+)_([0-9]+)")


@dataclass(eq=False, kw_only=True)
class SpokenDigits(RecordedData):
    """Recordings named DIGIT_SPEAKER_NUMBER.wav, of which numbers 0 to 4 are the test split.

    Args:
        audio_folder: their folder.
        fold: leave one speaker out: the speaker, from 0 in alphabetic order, whose recordings are the test split.
    """

    audio_folder: str
    fold: int | None = None

    def recordings(self) -> dict[str, list[Recording]]:
        folder = Path(self.folder(self.audio_folder))
        splits: dict[str, list[Recording]] = {split: [] for split in SPLITS}
        numbered = []
        for path in sound_files(folder):
            match = _NAME.fullmatch(path.stem)
            if match is None:
                raise DataError(f"{path} is not named DIGIT_SPEAKER_NUMBER: move it away")
            numbered.append((Recording(path, self._target(*match.groups()), str(path), match[2]), int(match[3])))
        speakers = sorted({recording.group for recording, _ in numbered})
        if self.fold is not None and not 0 <= self.fold < len(speakers):
            raise DataError(f"data.fold={self.fold} is out of range: there are {len(speakers)} speakers, from 0")
        for recording, number in numbered:
            left_out = self.fold is not None and recording.group == speakers[self.fold]
            tested = left_out if self.fold is not None else number in TEST
            split = "test" if tested else "validation" if number in VALIDATION else "train"
            splits[split].append(recording)
        self.note(self.audio_folder, str(folder), (str(recording.path) for recording, _ in numbered))
        if self.fold is not None:
            self.remarks = [*self.remarks, f"the test split is the speaker {speakers[self.fold]}"]
        return splits

    def _target(self, digit: str, speaker: str, number: str) -> str:
        return digit


@dataclass(eq=False, kw_only=True)
class SpokenDigitClasses(SpokenDigits):
    """Single digits.

    Args:
        labels: the classes: digit, or speaker.
    """

    labels: Literal["digit", "speaker"] = "digit"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels == "speaker" and self.fold is not None:
            raise ValueError(f"fold={self.fold} leaves a speaker out, whom labels=speaker could not know")

    def _target(self, digit: str, speaker: str, number: str) -> str:
        return digit if self.labels == "digit" else speaker


@dataclass(eq=False, kw_only=True)
class SpokenDigitStrings(SpokenDigits, TranscribedData):
    """Strings of 1 to `longest` digits, recordings of one speaker joined with pauses and noise.

    A split is made from its own recordings. Training strings are new in every epoch; those of the other splits are the
    same in all runs.

    Args:
        train_size, validation_size, test_size: number of strings.
        longest: maximum number of digits.
        pause: maximum length of a pause between two digits, in seconds.
        noise: signal-to-noise ratio in decibels of the noisiest strings; others have up to 30 dB more.
    """

    train_size: int = 2_000
    validation_size: int = 200
    test_size: int = 600
    longest: int = 9
    pause: float = 0.4
    noise: float = 15.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pause <= 10:
            raise ValueError(f"pause={self.pause} is a time in seconds, at least 0 and at most 10")

    def expected_spec(self) -> DataSpec:
        if self.tokenizer != "characters":
            return super().expected_spec()
        return self._spec(self.rate or 8_000, TextCodec.learn("characters", ["0123456789"], TARGET_SPECIALS))

    def read(self, rate: int | None) -> tuple[dict[str, Sounds], int]:
        splits, rate = super().read(rate)
        strings: dict[str, Sounds] = {}
        for split, files in splits.items():
            assert isinstance(files, SoundFiles)
            seed = self.seed if split == "train" else GENERATION_SEED + SPLITS.index(split)
            size = split_sizes(self)[split]
            size = min(size, self.limit or size)
            strings[split] = DigitStrings(files, size, self.longest, round(self.pause * rate), self.noise, seed)
        return strings, rate


class _String(NamedTuple):
    """The plan of a string.

    Attributes:
        rows: its recordings.
        pauses: samples before each of them and at the end.
        decibels: signal-to-noise ratio.
        seed: of the noise.
    """

    rows: list[int]
    pauses: list[int]
    decibels: float
    seed: int


class DigitStrings:
    """The strings of one split.

    Args:
        files: the recordings of single digits.
        size: number of strings.
        longest: maximum number of digits.
        pause: maximum number of samples of a pause.
        noise: the lowest signal-to-noise ratio in decibels.
        seed: of the random choices, together with the epoch.
    """

    def __init__(self, files: SoundFiles, size: int, longest: int, pause: int, noise: float, seed: int):
        self.files, self.size, self.longest, self.pause, self.noise, self.seed = (
            files,
            size,
            longest,
            pause,
            noise,
            seed,
        )
        self.where = [f"string {number}" for number in range(1, size + 1)]
        of_speaker = defaultdict(list)
        for row, recording in enumerate(files.recordings):
            of_speaker[recording.group].append(row)
        self._of_speaker = [torch.tensor(rows) for _, rows in sorted(of_speaker.items())]
        self._lengths = files.lengths(0)
        self._planned: tuple[int, list[_String]] | None = None

    def targets(self, epoch: int) -> list[str]:
        recordings = self.files.recordings
        return ["".join(str(recordings[row].target) for row in string.rows) for string in self._plan(epoch)]

    def lengths(self, epoch: int) -> list[int]:
        return [sum(string.pauses) + sum(self._lengths[row] for row in string.rows) for string in self._plan(epoch)]

    def gather(self, rows: list[int], epoch: int) -> list[Tensor]:
        plan = self._plan(epoch)
        return [self._sound(plan[row]) for row in rows]

    def _plan(self, epoch: int) -> list[_String]:
        if self._planned is None or self._planned[0] != epoch:
            generator = generator_at(self.seed, epoch)
            self._planned = (epoch, [self._string(generator) for _ in range(self.size)])
        return self._planned[1]

    def _string(self, generator: torch.Generator) -> _String:
        def below(limit: int, *shape: int) -> Tensor:
            return torch.randint(limit, shape, generator=generator)

        number = int(below(self.longest)) + 1
        speaker = self._of_speaker[int(below(len(self._of_speaker)))]
        rows = speaker[below(len(speaker), number)].tolist()
        pauses = below(self.pause + 1, number + 1).tolist()
        decibels = self.noise + 30 * float(torch.rand((), generator=generator))
        return _String(rows, pauses, decibels, int(below(2**31)))

    def _sound(self, string: _String) -> Tensor:
        pieces = [torch.zeros(string.pauses[0])]
        for row, pause in zip(string.rows, string.pauses[1:], strict=True):
            pieces += [self.files.sound(row), torch.zeros(pause)]
        sound = torch.cat(pieces)
        generator = torch.Generator().manual_seed(string.seed)
        level = sound.square().mean().sqrt() * 10 ** (-string.decibels / 20)
        return sound + level * torch.randn(len(sound), generator=generator)
