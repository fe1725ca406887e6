"""Reading recordings."""

from __future__ import annotations

import math
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
import scipy.signal
import soundfile
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.sound import Header, block_size, blocks, read_header, read_sound, resample, sound_files

RATE = 8_000


def tone(seconds: float = 0.1, rate: int = RATE, frequency: float = 440.0) -> numpy.ndarray:
    return 0.5 * numpy.sin(2 * math.pi * frequency * numpy.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_U8", 1e-2),
        ("a.wav", "FLOAT", 1e-7),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.2),
    ],
)
def test_formats(tmp_path: Path, name: str, subtype: str, tolerance: float) -> None:
    soundfile.write(tmp_path / name, tone(), RATE, subtype)
    found, rate = read_sound(tmp_path / name)
    assert (found.dtype, rate, len(found)) == (torch.float32, RATE, 800)
    assert read_header(tmp_path / name) == Header(RATE, 800)
    torch.testing.assert_close(found, torch.from_numpy(tone()).float(), atol=tolerance, rtol=0)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", numpy.stack([tone(), 0 * tone()], 1), RATE, "FLOAT")
    torch.testing.assert_close(read_sound(tmp_path / "a.wav")[0], torch.from_numpy(tone() / 2).float())


@pytest.mark.parametrize("rate", [4_000, 11_025, 16_000])
def test_another_rate_is_converted(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.3), RATE, "FLOAT")
    found, new = read_sound(tmp_path / "a.wav", rate)
    assert new == rate
    assert len(found) == read_header(tmp_path / "a.wav").resampled(rate)
    inside = slice(rate // 10, rate // 5)  # the filter sees zeros outside of the recording
    expected = torch.from_numpy(tone(0.3, rate)).float()
    torch.testing.assert_close(found[inside], expected[inside], atol=0.01, rtol=0)


@pytest.mark.parametrize("ratio", [Fraction(100, 107), Fraction(10, 9), Fraction(2)])
def test_the_filter_is_that_of_scipy(ratio: Fraction) -> None:
    sound = torch.randn(500)
    expected = scipy.signal.resample_poly(sound.numpy(), ratio.numerator, ratio.denominator)
    assert (resample(sound, ratio).numpy() == expected).all()


def test_blocks() -> None:
    assert blocks(torch.arange(5.0), 2).tolist() == [[0, 1], [2, 3], [4, 0]]
    assert (block_size(8_000, 0.01), block_size(10, 0.01)) == (80, 1)
    assert len(resample(torch.zeros(10), Fraction(2, 3))) == 7


def test_recordings_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.wav", "a.FLAC", "below/c.ogg", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [path.name for path in sound_files(tmp_path)] == ["a.FLAC", "b.wav", "c.ogg"]


def write(path: Path, **changes: object) -> Path:
    soundfile.write(path, tone(), RATE, "PCM_16")
    return path


def cut(path: Path) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:1_000])


def from_a_pipe(path: Path, length: int) -> None:
    write(path)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", length)
    path.write_bytes(data)


def not_finite(path: Path) -> None:
    sound = tone()
    sound[7] = math.nan
    soundfile.write(path, sound, RATE, "FLOAT")


MISTAKES = {
    "cut": (cut, "is cut: it has 956 bytes of sound where its header promises 1,600"),
    "an empty file": (lambda path: path.write_bytes(b""), "is an empty file: give a recording"),
    "text": (lambda path: path.write_text("hello"), "cannot be read as sound"),
    "a header alone": (lambda path: soundfile.write(path, numpy.zeros(0), RATE), "has no samples"),
    "not finite": (not_finite, "sample 8 is not a finite number"),
    "a folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "missing": (lambda path: None, "there is no recording"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_damaged_files_are_named(tmp_path: Path, case: str) -> None:
    damage, message = MISTAKES[case]
    damage(tmp_path / "bad.wav")
    with pytest.raises(DataError, match=message) as raised:
        read_sound(tmp_path / "bad.wav")
    assert "bad.wav" in str(raised.value)


def test_a_wav_of_a_pipe_does_not_know_its_length(tmp_path: Path) -> None:
    from_a_pipe(tmp_path / "a.wav", 0xFFFFFFFF)
    assert len(read_sound(tmp_path / "a.wav")[0]) == 800


def test_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav")
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(DataError, match=r"needs scipy, which is not installed: .*seqzoo\[speech\]"):
        read_sound(tmp_path / "a.wav", 16_000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(DataError, match=r"needs soundfile, which is not installed: .*seqzoo\[speech\]"):
        read_sound(tmp_path / "a.wav")
