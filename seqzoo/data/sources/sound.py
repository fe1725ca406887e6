"""Reading recordings as mono sound of one sampling rate, by soundfile; and how sound is cut into steps.

A step of a sequence of sound is a block of consecutive samples, 10 ms by default, so that lengths are counted in steps
as everywhere else. Encoders of sound compute their features from these blocks.
"""

from __future__ import annotations

import functools
import importlib
import math
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import numpy
import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.contracts.spec import FASTEST_RATE

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf")
"""The suffixes of files that are taken for recordings in a folder."""
LARGEST = 2**31
"""Maximum number of samples of a recording, against damaged headers."""


class Header(NamedTuple):
    """What the header of a recording says.

    Attributes:
        rate: sampling rate in Hz.
        samples: their number per channel.
    """

    rate: int
    samples: int

    def resampled(self, rate: int) -> int:
        """The number of samples at another rate, as `resample` returns them."""
        ratio = Fraction(rate, self.rate)
        return -(-self.samples * ratio.numerator // ratio.denominator)


def soundfile() -> ModuleType:
    """The library that reads recordings.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError):  # OSError: it is installed without libsndfile
        raise DataError(f"sound needs {not_installed('soundfile', 'speech')}") from None


def read_header(path: str | Path) -> Header:
    """Read the header of a recording.

    Args:
        path: of the file: WAV, FLAC, OGG, and what else the installed libsndfile reads.

    Raises:
        DataError: the file is missing, empty, cut, or not a recording.
    """
    with _opened(path) as sound:
        return Header(sound.samplerate, sound.frames)


def read_sound(path: str | Path, rate: int | None = None) -> tuple[Tensor, int]:
    """Read a recording. Channels are averaged.

    Args:
        path: as of `read_header`.
        rate: sampling rate in Hz to convert to; None: the file's own.

    Returns:
        Samples (N,), float32, -1 to 1 for a file of integers; and their sampling rate.

    Raises:
        DataError: as `read_header`, or the file has samples that are not finite numbers.
    """
    with _opened(path) as sound:
        samples = sound.read(dtype="float32", always_2d=True).mean(1)
        if len(samples) != sound.frames:
            raise DataError(
                f"{path} is cut: it has {len(samples):,} samples where its header promises {sound.frames:,}"
            )
        if not numpy.isfinite(samples).all():
            place = int(numpy.isfinite(samples).argmin())
            raise DataError(f"{path}: sample {place + 1:,} is not a finite number: convert the file again")
        final_rate = sound.samplerate if rate is None else rate
        return resample(torch.from_numpy(samples), Fraction(final_rate, sound.samplerate)), final_rate


def resample(samples: Tensor, ratio: Fraction) -> Tensor:
    """Change the number of samples by a ratio with a polyphase filter: (N,) -> (N ratio,), rounded up."""
    if ratio == 1:
        return samples
    try:
        from scipy.signal import resample_poly
    except ImportError:
        raise DataError(f"another sampling rate or speed needs {not_installed('scipy', 'speech')}") from None
    up, down = ratio.numerator, ratio.denominator
    return torch.from_numpy(resample_poly(samples.numpy(), up, down, window=_low_pass(max(up, down)))).float()


@functools.cache
def _low_pass(factor: int) -> numpy.ndarray:
    """The default filter of `resample_poly`, which takes longer to design than to apply to a short recording."""
    from scipy.signal import firwin

    return firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0)).astype(numpy.float32)


def blocks(samples: Tensor, size: int) -> Tensor:
    """Cut sound into steps: (N,) -> (T, size), with zeros at the end of the last step."""
    missing = -len(samples) % size
    return torch.nn.functional.pad(samples, (0, missing)).view(-1, size)


def block_size(rate: int, seconds: float) -> int:
    """The number of samples of a step, at least 1."""
    return max(1, round(rate * seconds))


def sound_files(folder: Path) -> list[Path]:
    """The recordings in a folder and the folders below, in alphabetic order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def sound_chunks(name: str, rate: int, size: int, seconds: float = 0.1) -> Iterator[Tensor]:
    """Sound in steps, in chunks as they become available.

    Args:
        name: of a file; "-" for standard input: a WAV file of 16 bit mono at this rate, or such samples alone.
        rate: sampling rate in Hz.
        size: samples per step.
        seconds: length of a chunk.

    Yields:
        (n, size), the last step filled up with zeros.

    Raises:
        DataError: as `read_sound`, or standard input is WAV of another form.
    """
    number = max(1, round(seconds * rate / size))
    if name != "-":
        yield from blocks(read_sound(name, rate)[0], size).split(number)
        return
    source = sys.stdin.buffer
    head = source.read(4)
    if head == b"RIFF":
        head = _after_header(source, rate)
    while data := head + source.read(2 * number * size - len(head)):
        head = b""
        samples = torch.frombuffer(bytearray(data[: len(data) // 2 * 2]), dtype=torch.int16)
        yield blocks(samples.float() / 2**15, size)


def _after_header(source: BinaryIO, rate: int) -> bytes:
    """Read the header of a WAV stream after its first four bytes. Raises DataError if it is of another form."""
    source.read(8)
    while len(header := source.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return b""
        content = source.read(length + length % 2)
        if name == b"fmt ":
            kind, channels, given_rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            if (kind, channels, given_rate, bits) != (1, 1, rate, 16):
                raise DataError(
                    f"standard input is WAV of {channels} channels, {bits} bits and {given_rate:,} Hz: give 16 bit "
                    f"mono at {rate:,} Hz, the rate of the run"
                )
    raise DataError("standard input is WAV without samples: give a recording that lasts")


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    library = soundfile()
    if "\0" in str(path):
        raise DataError(f"{path} is not the name of a file: it has NUL bytes")
    try:
        with Path(path).open("rb") as file:
            if not file.read(1):
                raise DataError(f"{path} is an empty file: give a recording")
            _check_whole(file, path)
        with library.SoundFile(str(path)) as sound:
            if not sound.frames:
                raise DataError(f"{path} has no samples: give a recording that lasts")
            if not 1 <= sound.samplerate <= FASTEST_RATE or sound.frames > LARGEST:
                raise DataError(
                    f"{path} has {sound.frames:,} samples at {sound.samplerate:,} Hz: its header is damaged"
                )
            yield sound
    except FileNotFoundError:
        raise DataError(f"there is no recording {path}: check the name") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except library.SoundFileError as error:
        reason = getattr(error, "error_string", "") or str(error)
        raise DataError(
            f"{path} cannot be read as sound ({reason.strip().rstrip('.')}): give WAV, FLAC or OGG"
        ) from None


def _check_whole(file: BinaryIO, path: str | Path) -> None:
    """Raise DataError for a WAV file that ends before its samples do, which libsndfile reads without a word."""
    file.seek(0)
    begin = file.read(12)
    if begin[:4] != b"RIFF" or begin[8:] != b"WAVE":
        return
    size = Path(path).stat().st_size
    while len(header := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", header)
        left = size - file.tell()
        if name == b"data":
            # programs that write to a pipe do not know the length and leave 0 or the largest number
            if left < length < 0x7FFFF000:
                raise DataError(f"{path} is cut: it has {left:,} bytes of sound where its header promises {length:,}")
            return
        file.seek(math.ceil(length / 2) * 2, 1)
