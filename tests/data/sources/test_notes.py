"""Notes of tiny files that the tests write, and what is wrong with others."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import scipy.io
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.note_notation import KEYS
from seqzoo.data.sources.notes import Piece, given_frames, midi_of, read_notes


def midi(path: Path, *tracks: list[mido.Message | mido.MetaMessage], ticks: int = 480) -> str:
    file = mido.MidiFile(ticks_per_beat=ticks)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(path)
    return str(path)


def note(pitch: int, wait: int, length: int, channel: int = 0) -> list[mido.Message]:
    """A note that begins some ticks after the message before it."""
    return [
        mido.Message("note_on", note=pitch, velocity=64, time=wait, channel=channel),
        mido.Message("note_on", note=pitch, velocity=0, time=length, channel=channel),
    ]


def rolls(path: Path, **variables: Any) -> str:
    scipy.io.savemat(path, variables)
    return str(path)


def cells(*pieces: np.ndarray) -> np.ndarray:
    listed = np.empty((1, len(pieces)), dtype=object)
    listed[0, :] = [*pieces]
    return listed


def roll(*steps: list[int]) -> np.ndarray:
    frames = np.zeros((len(steps), KEYS), np.uint8)
    for place, notes in enumerate(steps):
        frames[place, [n - 21 for n in notes]] = 1
    return frames


def notes_of(piece: Piece) -> list[list[int]]:
    return [(step.nonzero()[:, 0] + 21).tolist() for step in piece.frames]


def only(pieces: dict[str, list[Piece]]) -> list[list[int]]:
    [(split, [piece])] = pieces.items()
    assert split == ""
    assert piece.frames.dtype == torch.uint8
    return notes_of(piece)


def test_midi_on_a_grid_of_sixteenths_and_of_quarters(tmp_path: Path) -> None:
    """A quarter, an eighth that is played a little late, and a grace note, which still lasts a step."""
    path = midi(tmp_path / "a.mid", [*note(60, 0, 480), *note(64, 9, 240), *note(67, 0, 1)])
    assert only(read_notes(path, 4)) == [[60]] * 4 + [[64]] * 2 + [[67]]
    assert only(read_notes(path, 1)) == [[60], [64], [67]]
    assert only(read_notes(path, 8))[:8] == [[60]] * 8


def test_changes_of_tempo_and_time_signature_do_not_move_notes(tmp_path: Path) -> None:
    """They are in a track of their own, as in most files."""
    changes = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=4, denominator=4),
        mido.MetaMessage("set_tempo", tempo=250_000, time=480),
        mido.MetaMessage("time_signature", numerator=3, denominator=8, time=120),
        mido.MetaMessage("set_tempo", tempo=1_500_000, time=240),
    ]
    notes = [*note(60, 0, 480), *note(62, 0, 240), *note(64, 240, 480)]
    expected = [[60], [60], [62], [], [64], [64]]
    assert only(read_notes(midi(tmp_path / "a.mid", changes, notes), 2)) == expected
    assert only(read_notes(midi(tmp_path / "b.mid", notes), 2)) == expected


def test_tracks_sound_together_and_percussion_is_no_pitch(tmp_path: Path) -> None:
    path = midi(
        tmp_path / "a.midi", note(60, 0, 960), note(48, 480, 480), note(36, 0, 1920, channel=9), note(21, 480, 1)
    )
    assert only(read_notes(path, 1)) == [[60], [21, 48, 60]]


def test_silence_at_the_beginning_is_left_out_and_a_rest_is_kept(tmp_path: Path) -> None:
    path = midi(tmp_path / "a.mid", [*note(108, 4800, 480), *note(21, 960, 480)])
    assert only(read_notes(path, 1)) == [[108], [], [], [21]]


def test_a_note_that_never_ends_lasts_until_its_track_does(tmp_path: Path) -> None:
    held = [mido.Message("note_on", note=60, velocity=64, time=0)]
    path = midi(tmp_path / "a.mid", [*held, mido.MetaMessage("end_of_track", time=1440)])
    assert only(read_notes(path, 1)) == [[60]] * 3


def test_a_note_struck_again_while_it_sounds(tmp_path: Path) -> None:
    struck = [mido.Message("note_on", note=60, velocity=64, time=480 * n) for n in (0, 1)]
    ends = [mido.Message("note_off", note=60, time=480) for _ in range(2)]
    assert only(read_notes(midi(tmp_path / "a.mid", [*struck, *ends]), 1)) == [[60]] * 3


@pytest.mark.parametrize("steps", [[[60, 64], [], [62]], [[60, 64, -1], [-1, -1, -1], [62.0]]])
def test_json_of_one_piece_of_pieces_and_of_splits(steps: list, tmp_path: Path) -> None:
    """Also in the form of four voices, in which -1 is silence."""
    expected, path = [[60, 64], [], [62]], tmp_path / "a.json"
    path.write_text(json.dumps(steps))
    assert only(read_notes(str(path))) == expected
    path.write_text(json.dumps([steps, [[21], [108]]]))
    assert [notes_of(piece) for piece in read_notes(str(path))[""]] == [expected, [[21], [108]]]
    path.write_text(json.dumps({"train": [steps], "valid": [[[21], [108]]], "Test": [steps, steps]}))
    pieces = read_notes(str(path))
    assert {split: len(of_split) for split, of_split in pieces.items()} == {"train": 1, "validation": 1, "test": 2}
    assert notes_of(pieces["validation"][0]) == [[21], [108]]


def test_matlab_piano_rolls(tmp_path: Path) -> None:
    first, second = roll([60, 64], [], [62]), roll([21], [108]).astype(float)
    pieces = read_notes(rolls(tmp_path / "a.mat", traindata=cells(first, second), testdata=cells(first)))
    assert [notes_of(piece) for piece in pieces["train"]] == [[[60, 64], [], [62]], [[21], [108]]]
    assert {split: len(of_split) for split, of_split in pieces.items()} == {"train": 2, "test": 1}
    assert only(read_notes(rolls(tmp_path / "b.mat", song=first))) == [[60, 64], [], [62]]


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.mid.gz").write_bytes(gzip.compress(Path(midi(tmp_path / "a.mid", note(60, 0, 960))).read_bytes()))
    assert only(read_notes(str(tmp_path / "a.mid.gz"), 1)) == [[60], [60]]


@pytest.mark.parametrize("steps_per_quarter", [1, 4, 7])
def test_frames_are_read_as_they_were_written(steps_per_quarter: int, tmp_path: Path) -> None:
    frames = torch.from_numpy(roll([60, 64], [60, 67], [], [21, 60, 108], [60])).float()
    path = tmp_path / "a.mid"
    path.write_bytes(midi_of(frames, steps_per_quarter))
    assert only(read_notes(str(path), steps_per_quarter)) == [[60, 64], [60, 67], [], [21, 60, 108], [60]]
    assert sum(message.time for message in mido.MidiFile(path).tracks[0]) == 5 * (480 // steps_per_quarter)


def test_chords_and_files_that_are_given_for_a_prediction(tmp_path: Path) -> None:
    path = midi(tmp_path / "a.mid", note(60, 0, 960))
    for text, expected in ((path, [[60], [60]]), ("C4+E4 rest  A0", [[60, 64], [], [21]])):
        assert notes_of(Piece(given_frames(text, 1), "")) == expected
    (tmp_path / "a.json").write_text("[[[60], [62]], [[60], [62]]]")
    with pytest.raises(DataError, match="has 2 pieces: give a file with one"):
        given_frames(str(tmp_path / "a.json"), 1)
    with pytest.raises(DataError, match="the input, step 2: note 12 is outside the 88 keys"):
        given_frames("C4 C0", 1)


def bytes_of(*tracks: list) -> bytes:
    file = io.BytesIO()
    whole = mido.MidiFile()
    whole.tracks.extend(mido.MidiTrack(track) for track in tracks)
    whole.save(file=file)
    return file.getvalue()


LONG = [*note(60, 0, 480), *note(62, 2**27, 480)]
MISTAKES: list[tuple[str, bytes, str]] = [
    ("silent.mid", bytes_of([mido.MetaMessage("set_tempo", tempo=500_000)]), "silent.mid has no notes: leave it out"),
    ("drums.mid", bytes_of(note(36, 0, 960, channel=9)), "drums.mid has no notes"),
    ("high.mid", bytes_of(note(60, 0, 960), note(109, 480, 480)), "high.mid, step 5: note 109 is outside the 88 keys"),
    ("low.mid", bytes_of(note(20, 0, 960)), "low.mid, step 1: note 20 is outside the 88 keys of a piano, 21 to 108"),
    ("cut.mid", bytes_of(note(60, 0, 960))[:-9], r"cut.mid cannot be read as MIDI \(.*\): is it complete"),
    ("cut.mid", bytes_of(note(60, 0, 960))[:10], r"cut.mid cannot be read as MIDI \(.*\): is it complete"),
    ("empty.mid", b"", "empty.mid is not MIDI, which begins with MThd"),
    ("text.mid", b"C D E", "text.mid is not MIDI, which begins with MThd"),
    ("film.mid", b"MThd\0\0\0\6\0\0\0\1\xe7\x28" + bytes_of(note(60, 0, 9))[14:], "film.mid has no time in quarter"),
    ("long.mid", bytes_of(LONG), "long.mid has 1,118,489 steps, more than 100,000: is it damaged"),
    ("short.mid", bytes_of(note(60, 0, 1)), "short.mid has 1 step: a piece needs two or more"),
    ("a.json", b"[[60], [62", "a.json: not JSON"),
    ("a.json", b"3", "a.json has something else than lists of notes: expected lists of pieces"),
    ("a.json", b"[]", "a.json has no steps: a piece needs two or more"),
    ("a.json", b'{"train": [[[60], [62]], []]}', "a.json, train piece 2 has no steps"),
    ("a.json", b"[[[60], [62]], [[], []]]", "a.json, piece 2 has no notes: leave it out"),
    ("a.json", b"[[[60], [62]], [[60]]]", "a.json, piece 2 has 1 step: a piece needs two or more"),
    ("a.json", b"[[[60], [62]], [[60], [128]]]", "a.json, piece 2, step 2: note 128 is outside the 88 keys of a piano"),
    ("a.json", b"[[60], [60.5]]", "a.json, step 2: '60.5' is not a MIDI note, a whole number from 21 to 108"),
    ("a.json", b"[[60], [NaN]]", "a.json, step 2: 'nan' is not a MIDI note"),
    ("a.json", b'[["C4"], [60]]', "a.json, step 1: 'C4' is not a MIDI note"),
    ("a.json", b"[[[60], 62]]", r"a.json, piece 1, step 2: '62' is not a list of MIDI notes, such as \[60, 64, 67\]"),
    ("a.json", b'{"bach": [[[60], [62]]]}', "a.json has the key 'bach', which is not a split: name them train"),
    ("a.mat", b"no MATLAB", r"a.mat cannot be read as a MATLAB file of version 5 to 7 \(.*\): is it complete"),
    ("a.pickle", b"", "a.pickle is not a file of notes by its name: give MIDI"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), MISTAKES, ids=[str(n) for n in range(len(MISTAKES))])
def test_a_malformed_file_is_reported(name: str, content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read_notes(str(tmp_path / name))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: rolls(path, traindata=cells(roll([60], [62]), np.zeros((3, 87)))), "traindata 2 is 3 x 87: a pi"),
        (lambda path: rolls(path, song=2 * roll([60], [62])), "song has values other than 0 and 1"),
        (lambda path: rolls(path, song=np.zeros((0, KEYS))), "song has no steps"),
        (lambda path: rolls(path, song=roll([], [])), "song has no notes"),
        (lambda path: rolls(path, title="a song"), "title is 1: a piano roll is steps x 88, zeros and ones"),
    ],
)
def test_piano_rolls_of_another_form_are_reported(make: Callable[[Path], str], sentence: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mat")
    with pytest.raises(DataError, match=f"a.mat, {sentence}"):
        read_notes(path)


def test_a_cut_matlab_file_is_reported(tmp_path: Path) -> None:
    path = Path(rolls(tmp_path / "a.mat", song=roll(*[[60 + n % 12] for n in range(99)])))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"a.mat cannot be read as a MATLAB file of version 5 to 7 \(.*\): is it comp"):
        read_notes(str(path))
