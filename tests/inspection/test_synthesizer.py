"""Frames as sound."""

from __future__ import annotations

import io
import wave

import numpy
import pytest
import torch

from seqzoo.inspection.synthesizer import RATE, RELEASE, seconds_per_step, synthesize, wav_of


def strongest(sound: numpy.ndarray) -> float:
    """The frequency of the largest amplitude, in Hz."""
    return float(numpy.abs(numpy.fft.rfft(sound)).argmax() * RATE / len(sound))


def test_a_note_has_its_pitch_and_its_duration() -> None:
    frames = torch.zeros(4, 88)
    frames[1:3, 48] = 1  # A4
    sound = synthesize(frames, 0.25)
    assert sound.dtype == numpy.float32
    assert len(sound) == pytest.approx((1 + RELEASE) * RATE, abs=2)
    assert strongest(sound) == pytest.approx(440, abs=2)
    assert numpy.abs(sound[: RATE // 4]).max() == 0
    assert numpy.abs(sound[int((0.75 + RELEASE) * RATE) + 2 :]).max() == 0
    assert 0.5 < numpy.abs(sound).max() < 1


def test_every_key_sounds_and_silence_is_silent() -> None:
    for key in (0, 87):
        frames = torch.zeros(4, 88)
        frames[:, key] = 1
        assert strongest(synthesize(frames, 0.25)) == pytest.approx(440 * 2 ** ((key - 48) / 12), rel=0.05)
    assert not synthesize(torch.zeros(4, 88), 0.1).any()
    assert seconds_per_step(2) == pytest.approx(0.3)


def test_a_wav_file_of_16_bits() -> None:
    sound = numpy.array([0.0, 0.5, -1.0], dtype=numpy.float32)
    with wave.open(io.BytesIO(wav_of(sound))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert numpy.frombuffer(file.readframes(3), "<i2").tolist() == [0, 16383, -32767]
