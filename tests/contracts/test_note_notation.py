"""Notes as text."""

from __future__ import annotations

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.note_notation import HIGHEST, LOWEST, parse_chord, write_chord


def test_middle_c_the_ends_of_the_keyboard_and_silence() -> None:
    assert write_chord([60]) == "C4"
    assert write_chord([HIGHEST, LOWEST]) == "A0+C8"
    assert write_chord([]) == "rest"
    assert [parse_chord(text) for text in ("c4+F#3", "Gb3", "C-1", "rest")] == [[54, 60], [54], [0], []]


def test_every_note_is_read_as_it_is_written() -> None:
    for note in range(128):
        assert parse_chord(write_chord([note])) == [note]


@pytest.mark.parametrize("text", ["H4", "C", "C4+", "60", "C4 E4", "C##4", ""])
def test_something_else_is_reported(text: str) -> None:
    with pytest.raises(DataError, match="is not a note: write C4, F#3 or Bb2, chords as"):
        parse_chord(text)
