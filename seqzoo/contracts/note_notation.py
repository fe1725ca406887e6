"""Notes as text: C4 is middle C (MIDI note 60), F#3 and Gb3 are one key; a chord is C4+E4+G4, silence is rest."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor

from seqzoo.contracts.errors import DataError

KEYS = 88
LOWEST, HIGHEST = 21, 108
"""The MIDI notes of the first and of the last key of a piano, A0 and C8."""
REST = "rest"
TEMPO = 100
"""Quarter notes per minute of music that is written."""
FINEST_GRID = 96
"""Maximum number of steps per quarter note."""
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NOTE = re.compile(r"([A-Ga-g])([#b]?)(-?\d)")
_SHIFTS = {"": 0, "#": 1, "b": -1}


def write_chord(notes: Iterable[int]) -> str:
    """A chord as text, from its lowest to its highest note.

    Args:
        notes: MIDI notes.
    """
    return "+".join(f"{_NAMES[note % 12]}{note // 12 - 1}" for note in sorted(notes)) or REST


def parse_chord(text: str) -> list[int]:
    """The MIDI notes of a chord, in rising order.

    Raises:
        DataError: something is not a note.
    """
    return [] if text == REST else sorted({_parse_note(note) for note in text.split("+")})


def chords_of(frames: Tensor, lengths: Tensor) -> list[list[str]]:
    """The chords of each row as text.

    Args:
        frames: (B, T, K), 1 where a note sounds; the first of the K notes is LOWEST.
        lengths: (B,).
    """
    rows: list[list[list[int]]] = [[[] for _ in range(length)] for length in lengths.tolist()]
    for row, step, key in zip(*(part.tolist() for part in (frames > 0.5).nonzero(as_tuple=True)), strict=True):
        if step < len(rows[row]):
            rows[row][step].append(key + LOWEST)
    return [[write_chord(notes) for notes in row] for row in rows]


def _parse_note(text: str) -> int:
    match = _NOTE.fullmatch(text)
    if match is None:
        raise DataError(f"{text[:40]!r} is not a note: write C4, F#3 or Bb2, chords as C4+E4+G4, and silence as {REST}")
    letter, accidental, octave = match.groups()
    return _NAMES.index(letter.upper()) + _SHIFTS[accidental] + 12 * (int(octave) + 1)
