"""Pieces of music as frames of notes, on a grid of steps: from MIDI, from JSON, and from MATLAB piano rolls.

A frame says which of the 88 keys of a piano, from A0 (MIDI note 21) to C8 (108), sound during a step. A note that is
struck again in the next step looks like one that is held.

Source: Boulanger-Lewandowski, Bengio & Vincent, Modeling Temporal Dependencies in High-Dimensional Sequences:
Application to Polyphonic Music Generation and Transcription, 2012, https://arxiv.org/abs/1206.6392
"""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.contracts.note_notation import HIGHEST, KEYS, LOWEST, TEMPO, parse_chord
from seqzoo.data.sources.packed import read_bytes, unpacked_name
from seqzoo.data.sources.reading import parse_json, read_text

SUFFIXES = (".mid", ".midi", ".json", ".mat")
MOST_STEPS = 100_000
"""Maximum length of a piece, against damaged files: seven hours of sixteenth notes at a tempo of 60."""
TICKS, VELOCITY = 480, 80
"""Of MIDI files that are written: ticks per quarter note, if the grid divides them, and how hard notes are struck."""
PERCUSSION = 9
"""The MIDI channel whose notes are instruments, not pitches."""
NAMES_OF_SPLITS = {
    **dict.fromkeys(("train", "training", "traindata"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "validdata"), "validation"),
    **dict.fromkeys(("test", "testing", "testdata"), "test"),
}
"""What splits are called in files, and here."""


class Piece(NamedTuple):
    """One piece.

    Attributes:
        frames: (T, 88) bytes, 1 where a note sounds.
        where: file and place in it, for messages.
    """

    frames: Tensor
    where: str


def read_notes(path: str, steps_per_quarter: int = 4) -> dict[str, list[Piece]]:
    """Read the pieces of a file, plain or compressed.

    - `.mid`, `.midi`: one piece. Percussion is left out, as are silent steps before the first note. A note begins and
      ends at the nearest steps of the grid, and lasts at least one. The grid counts quarter notes, whatever the tempo
      and the time signature.
    - `.json`: lists of pieces by the names of splits, a list of pieces, or one piece. A piece is a list of steps, each
      a list of MIDI notes, such as [60, 64, 67]; -1 is a voice that is silent.
    - `.mat`: piano rolls (T, 88) of zeros and ones, in variables or cells. `traindata`, `validdata` and `testdata` are
      the names of splits.

    Args:
        path: of the file.
        steps_per_quarter: steps of the grid per quarter note, for MIDI; the others are on a grid already.

    Returns:
        The pieces by split; "" where the file names no splits.

    Raises:
        DataError: the file cannot be read, or has a piece without notes, or with notes outside the 88 keys.
    """
    suffix = PurePath(unpacked_name(path)).suffix.lower()
    if suffix in (".mid", ".midi"):
        return {"": [_read_midi(path, steps_per_quarter)]}
    if suffix == ".json":
        return _read_json(path)
    if suffix == ".mat":
        return _read_matlab(path)
    raise DataError(
        f"{path} is not a file of notes by its name: give MIDI (.mid), JSON (.json) or MATLAB piano rolls (.mat)"
    )


def given_frames(text: str, steps_per_quarter: int) -> Tensor:
    """Read frames that a user gives for a prediction.

    Args:
        text: the name of a file of notes with one piece, or chords as `seqzoo.contracts.note_notation` writes them,
            separated by spaces.
        steps_per_quarter: of the grid.

    Returns:
        (T, 88), 0 or 1 in float32.

    Raises:
        DataError: the file cannot be read or has several pieces, or something is not a chord of the 88 keys.
    """
    if text.lower().endswith(SUFFIXES):
        pieces = [piece for part in read_notes(text, steps_per_quarter).values() for piece in part]
        if len(pieces) != 1:
            raise DataError(f"{text} has {len(pieces):,} pieces: give a file with one")
        return pieces[0].frames.float()
    chords = text.split()
    if not chords:
        raise DataError("the input is empty: give chords, such as C4+E4+G4 F4+A4+C5, or a file of notes")
    frames = _empty_frames(len(chords), "the input")
    for step, chord in enumerate(chords):
        frames[step, [_key(note, "the input", step + 1) for note in parse_chord(chord)]] = 1
    return frames.float()


def midi_of(frames: Tensor, steps_per_quarter: int) -> bytes:
    """A MIDI file of frames; a note that sounds in consecutive frames is one long note.

    Args:
        frames: (T, 88), 1 where a note sounds.
        steps_per_quarter: of the grid.

    Raises:
        DataError: mido is not installed.
    """
    mido = _mido("writing MIDI")
    ticks = TICKS // steps_per_quarter
    silent = torch.zeros_like(frames[:1])
    changes = torch.cat([silent, frames, silent]).round().int().diff(dim=0)
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO))])
    last = 0
    for step, notes in enumerate(changes):
        for kind, sign in (("note_off", -1), ("note_on", 1)):
            for key in (notes == sign).nonzero()[:, 0].tolist():
                track.append(mido.Message(kind, note=LOWEST + key, velocity=VELOCITY, time=(step - last) * ticks))
                last = step
    midi, file = mido.MidiFile(type=0, ticks_per_beat=ticks * steps_per_quarter), io.BytesIO()
    midi.tracks.append(track)
    midi.save(file=file)
    return file.getvalue()


def _mido(purpose: str) -> Any:
    try:
        import mido
    except ImportError:
        raise DataError(f"{purpose} needs {not_installed('mido')}") from None
    return mido


def _read_midi(path: str, steps_per_quarter: int) -> Piece:
    mido = _mido(path)
    data = read_bytes(path)
    if not data.startswith(b"MThd"):
        raise DataError(f"{path} is not MIDI, which begins with MThd: give another file")
    with _as_data_error(path, "MIDI"):
        midi = mido.MidiFile(file=io.BytesIO(data))
    # the sign bit of the division stands for time in frames of film instead of quarter notes
    if not 0 < midi.ticks_per_beat < 2**15:
        raise DataError(f"{path} has no time in quarter notes (its division is {midi.ticks_per_beat}): convert it")
    ticks = midi.ticks_per_beat
    spans: list[tuple[int, int, int]] = []
    for track in midi.tracks:
        spans += _spans(track)

    def step(tick: int) -> int:
        return (2 * tick * steps_per_quarter + ticks) // (2 * ticks)

    notes = [(note, step(start), max(step(end), step(start) + 1)) for note, start, end in spans]
    if not notes:
        raise DataError(f"{path} has no notes: leave it out")
    first, end = min(start for _, start, _ in notes), max(end for _, _, end in notes)
    frames = _empty_frames(end - first, path)
    for note, start, stop in notes:
        frames[start - first : stop - first, _key(note, path, start + 1)] = 1
    return _checked(frames, path)


def _spans(track: Iterable[Any]) -> Iterator[tuple[int, int, int]]:
    """Note, first tick and end of each note of a track, without percussion."""
    tick = 0
    sounding: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for message in track:
        tick += message.time
        if message.type not in ("note_on", "note_off") or message.channel == PERCUSSION:
            continue
        started = sounding[message.channel, message.note]
        if message.type == "note_on" and message.velocity:
            started.append(tick)
        elif started:
            yield message.note, started.pop(0), tick
    for (_, note), started in sounding.items():
        yield from ((note, start, tick) for start in started)


def _read_json(path: str) -> dict[str, list[Piece]]:
    expected = "lists of pieces by split, a list of pieces, or a piece: a list of steps, each a list of MIDI notes"
    content = parse_json(read_text(path), path, expected)
    splits = content if isinstance(content, dict) else {"": content}
    pieces: dict[str, list[Piece]] = {}
    for name, listed in splits.items():
        split = _split(path, name) if isinstance(content, dict) else ""
        if not isinstance(listed, list) or not all(isinstance(part, list) for part in listed):
            raise DataError(f"{path} has something else than lists of notes: expected {expected}")
        # steps are lists of numbers; an empty step is a rest
        single = not isinstance(content, dict) and not any(isinstance(part, list) for step in listed for part in step)
        where = f"{path}, {name} piece" if name else f"{path}, piece"
        pieces.setdefault(split, []).extend(
            _piece_of_steps(steps, path if single else f"{where} {number}")
            for number, steps in enumerate([listed] if single else listed, start=1)
        )
    return pieces


def _piece_of_steps(steps: Sequence[Any], where: str) -> Piece:
    frames = _empty_frames(len(steps), where)
    places, keys = [], []
    for number, notes in enumerate(steps, start=1):
        if not isinstance(notes, list):
            place = f"{where}, step {number}"
            raise DataError(f"{place}: {str(notes)[:40]!r} is not a list of MIDI notes, such as [60, 64, 67]")
        for note in notes:
            if isinstance(note, bool) or not isinstance(note, int | float) or note != note // 1:
                place = f"{where}, step {number}"
                raise DataError(f"{place}: {str(note)[:40]!r} is not a MIDI note, a whole number from 21 to 108")
            if note != -1:
                places.append(number - 1)
                keys.append(_key(int(note), where, number))
    frames[places, keys] = 1
    return _checked(frames, where)


def _read_matlab(path: str) -> dict[str, list[Piece]]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError(f"{path} needs {not_installed('scipy')}") from None
    data = read_bytes(path)
    with _as_data_error(path, "a MATLAB file of version 5 to 7"), warnings.catch_warnings():
        warnings.simplefilter("error")
        variables = loadmat(io.BytesIO(data))
    variables = {name: value for name, value in variables.items() if not name.startswith("__")}
    named = set(variables) <= set(NAMES_OF_SPLITS)
    pieces: dict[str, list[Piece]] = {}
    for name, value in variables.items():
        is_cells = isinstance(value, np.ndarray) and value.dtype == object
        rolls = value.flatten().tolist() if is_cells else [value]
        pieces.setdefault(_split(path, name) if named else "", []).extend(
            _piece_of_roll(roll, f"{path}, {name} {number}" if is_cells else f"{path}, {name}")
            for number, roll in enumerate(rolls, start=1)
        )
    return pieces


def _piece_of_roll(roll: Any, where: str) -> Piece:
    if not isinstance(roll, np.ndarray) or roll.dtype.kind not in "buif" or roll.ndim != 2 or roll.shape[1] != KEYS:
        form = " x ".join(map(str, np.shape(roll))) or type(roll).__name__
        raise DataError(f"{where} is {form}: a piano roll is steps x {KEYS}, zeros and ones")
    if not np.isin(roll, (0, 1)).all():
        raise DataError(f"{where} has values other than 0 and 1: give a piano roll of zeros and ones")
    _check_length(len(roll), where)
    return _checked(torch.from_numpy(roll.astype(np.uint8)), where)


def _split(path: str, name: str) -> str:
    if name.lower() not in NAMES_OF_SPLITS:
        raise DataError(f"{path} has the key {name!r:.60}, which is not a split: name them train, validation and test")
    return NAMES_OF_SPLITS[name.lower()]


def _empty_frames(steps: int, where: str) -> Tensor:
    _check_length(steps, where)
    return torch.zeros(steps, KEYS, dtype=torch.uint8)


def _check_length(steps: int, where: str) -> None:
    if steps > MOST_STEPS:
        raise DataError(f"{where} has {steps:,} steps, more than {MOST_STEPS:,}: is it damaged? Otherwise cut it")


def _key(note: int, where: str, step: int) -> int:
    if not LOWEST <= note <= HIGHEST:
        raise DataError(
            f"{where}, step {step}: note {note} is outside the {KEYS} keys of a piano, {LOWEST} to {HIGHEST}: "
            "transpose or remove it"
        )
    return note - LOWEST


def _checked(frames: Tensor, where: str) -> Piece:
    if len(frames) < 2:
        number = "no steps" if not len(frames) else "1 step"
        raise DataError(f"{where} has {number}: a piece needs two or more, to predict one from those before it")
    if not frames.any():
        raise DataError(f"{where} has no notes: leave it out")
    return Piece(frames, where)


@contextmanager
def _as_data_error(path: str, form: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the libraries raise many kinds of exceptions for damaged files
        reason = str(error)[:80] or type(error).__name__
        raise DataError(
            f"{path} cannot be read as {form} ({reason}): is it complete? Otherwise convert it again"
        ) from None
