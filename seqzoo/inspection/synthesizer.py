"""Music as sound: sines with overtones that decay, as of a plucked string."""

from __future__ import annotations

import io
import wave

import numpy
from torch import Tensor

from seqzoo.contracts.note_notation import LOWEST, TEMPO

RATE = 22_050
"""Samples per second."""
OVERTONES = (1.0, 0.5, 0.25, 0.12)
"""The amplitude of each multiple of the frequency of a note."""
DECAY, ATTACK, RELEASE = 0.8, 0.01, 0.08
"""Seconds in which a note falls to 1 / e, rises, and dies away after its end."""
LOUDEST = 0.8


def seconds_per_step(steps_per_quarter: int) -> float:
    """The duration of a frame at the tempo of music that is written."""
    return 60 / TEMPO / steps_per_quarter


def synthesize(frames: Tensor, seconds_per_step: float) -> numpy.ndarray:
    """The sound of frames.

    Args:
        frames: (T, 88), 1 where a note sounds; in consecutive frames it is one long note.
        seconds_per_step: duration of a frame.

    Returns:
        Samples from -1 to 1, (N,), float32, RATE per second.
    """
    notes = numpy.pad(frames.round().int().cpu().numpy(), ((1, 1), (0, 0)))
    changes = numpy.diff(notes, axis=0).T
    sound = numpy.zeros(int((len(frames) * seconds_per_step + RELEASE) * RATE) + 1)
    for key, change in enumerate(changes):
        for start, end in zip((change > 0).nonzero()[0], (change < 0).nonzero()[0], strict=True):
            first = int(start * seconds_per_step * RATE)
            tone = _tone(440.0 * 2 ** ((key + LOWEST - 69) / 12), (end - start) * seconds_per_step)
            sound[first : first + len(tone)] += tone[: len(sound) - first]
    return (LOUDEST * sound / max(numpy.abs(sound).max(), 1e-9)).astype(numpy.float32)


def _tone(frequency: float, seconds: float) -> numpy.ndarray:
    time = numpy.arange(int((seconds + RELEASE) * RATE)) / RATE
    rising = numpy.minimum(time / ATTACK, 1)
    falling = numpy.exp(-time / DECAY) * numpy.clip((seconds + RELEASE - time) / RELEASE, 0, 1)
    waves = [
        amplitude * numpy.sin(2 * numpy.pi * multiple * frequency * time)
        for multiple, amplitude in enumerate(OVERTONES, start=1)
        if multiple * frequency < RATE / 2  # above, it would be heard as another tone
    ]
    return rising * falling * sum(waves)


def wav_of(sound: numpy.ndarray) -> bytes:
    """A WAV file, 16 bit, of samples from -1 to 1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((sound * 32767).astype("<i2").tobytes())
    return file.getvalue()
