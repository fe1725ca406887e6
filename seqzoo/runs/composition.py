"""A piece of music that a model has written: its frames, as MIDI, as sound and as a picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy
from torch import Tensor

from seqzoo.data.sources.notes import midi_of
from seqzoo.inspection.drawing import draw_piano_roll
from seqzoo.inspection.synthesizer import seconds_per_step, synthesize


class Composition(NamedTuple):
    """A piece of music that a model has written.

    Attributes:
        frames: (T, 88), 1 where a note sounds.
        given: number of the first frames that were given.
        steps_per_quarter: steps per quarter note.
    """

    frames: Tensor
    given: int
    steps_per_quarter: int

    @property
    def midi(self) -> bytes:
        """The piece as a MIDI file.

        Raises:
            DataError: mido is not installed.
        """
        return midi_of(self.frames, self.steps_per_quarter)

    @property
    def sound(self) -> numpy.ndarray:
        """The piece as sound: samples from -1 to 1, `seqzoo.inspection.synthesizer.RATE` per second."""
        return synthesize(self.frames, seconds_per_step(self.steps_per_quarter))

    def draw(self) -> Any:
        """The piano roll, a matplotlib figure.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        return draw_piano_roll(self.frames, self.steps_per_quarter, self.given)
