"""Pieces of music from files: splits, batches that continue pieces, transposition, and what is wrong with files."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.files.music_files import MusicFiles
from tests.data.sources.test_notes import midi, note

Steps = list[list[int]]


def piece(number: int, length: int) -> Steps:
    """Random chords; piece n has the note 21 + n in each step."""
    generator = random.Random(number)
    return [[21 + number, *generator.sample(range(60, 90), 2)] for _ in range(length)]


LENGTHS = (5, 12, 9, 3, 2, 20)
PIECES = [piece(number, length) for number, length in enumerate(LENGTHS)]


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def loaded(folder: Path, **options: Any) -> MusicFiles:
    path = write(folder / "a.json", {"train": PIECES, "valid": PIECES[:2], "test": PIECES[2:3]})
    data = MusicFiles(**{"train": path, "batch_size": 2, **options})
    data.load()
    return data


def notes(frames: torch.Tensor) -> Steps:
    return [sorted((step.nonzero()[:, 0] + 21).tolist()) for step in frames]


def joined(batches: list[Batch]) -> list[tuple[Steps, Steps]]:
    """Inputs and targets of each piece: `continues` says which earlier row each row continues."""
    pieces: list[tuple[Steps, Steps]] = []
    before: list[int] = []
    for batch in batches:
        now = []
        for row, earlier in enumerate(batch.continues.tolist()):
            if earlier < 0:
                pieces.append(([], []))
                now.append(len(pieces) - 1)
            else:
                now.append(before[earlier])
            length = int(batch.lengths[row])
            assert not batch.inputs[row, length:].any()
            pieces[now[-1]][0].extend(notes(batch.inputs[row, :length]))
            pieces[now[-1]][1].extend(notes(batch.targets[row, :length]))
        before = now
    return pieces


def test_each_frame_but_the_first_is_predicted_from_those_before_it(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    assert data.spec == DataSpec("polyphony", 88, 88, steps_per_quarter=4)
    assert data.splits() == {"train": 6, "validation": 2, "test": 1}
    [batch] = data.batches("test")
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert batch.inputs.shape == batch.targets.shape == (1, 8, 88)
    assert notes(batch.inputs[0]) == [sorted(step) for step in PIECES[2][:-1]]
    assert notes(batch.targets[0]) == [sorted(step) for step in PIECES[2][1:]]
    assert not batch.padded


@pytest.mark.parametrize("window", [1, 4, 7, 100])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_windows_joined_are_the_pieces(split: str, window: int, tmp_path: Path) -> None:
    data = loaded(tmp_path, window=window)
    batches = [*data.batches(split, epoch=3)]
    assert len(batches) == data.num_batches(split, 3)
    assert max(batch.inputs.shape[1] for batch in batches) <= window
    found = sorted(joined(batches))
    expected = [[sorted(step) for step in steps] for steps in (PIECES if split == "train" else PIECES[:2])]
    assert found == sorted((steps[:-1], steps[1:]) for steps in expected)
    for start in range(1, len(batches)):
        rest = [*data.batches(split, epoch=3, start=start)]
        assert len(rest) == len(batches) - start
        assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(rest, batches[start:], strict=True))
        assert torch.equal(rest[0].continues, batches[start].continues)


def test_the_order_follows_the_seed_and_the_epoch(tmp_path: Path) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        data = loaded(tmp_path, seed=seed, window=100)
        return [batch.lengths.tolist() for batch in data.batches("train", epoch)]

    assert order(0, 0) == order(0, 0)
    assert len({str(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) > 2


def test_transposition_shifts_whole_pieces_and_keeps_every_note(tmp_path: Path) -> None:
    data = loaded(tmp_path, transpose=3, window=4)
    shifts = set()
    for epoch in range(40):
        for inputs, targets in joined([*data.batches("train", epoch)]):
            whole = [*inputs, targets[-1]]
            [original] = [p for p in PIECES if len(p) == len(whole)]
            # the lowest note marks the piece, and cannot leave the keyboard
            shift = whole[0][0] - min(original[0])
            assert whole == [sorted(key + shift for key in step) for step in original]
            shifts.add((PIECES.index(original), shift))
    assert {shift for number, shift in shifts if number == 0} == {0, 1, 2, 3}
    assert {shift for number, shift in shifts if number == 5} == {*range(-3, 4)}
    for split in ("validation", "test"):
        assert torch.equal(next(data.batches(split)).inputs, next(loaded(tmp_path, window=4).batches(split)).inputs)
    plain = [notes(batch.inputs[0]) for batch in data.plain_batches("train")]
    assert plain == [[sorted(step) for step in steps[:-1]] for steps in PIECES]


def test_pieces_are_held_out_where_a_file_has_no_splits(tmp_path: Path) -> None:
    pieces = [piece(number, 4) for number in range(20)]
    path = write(tmp_path / "a.json", [*pieces, *pieces])
    data = MusicFiles(train=path, validation_fraction=0.2, test_fraction=0.1, seed=1)
    data.load()
    assert data.splits() == {"train": 28, "validation": 8, "test": 4}
    of = {split: {str(notes(b.inputs[0])) for b in data.plain_batches(split)} for split in data.splits()}
    assert len(of["train"] | of["validation"] | of["test"]) == sum(map(len, of.values())) == 20
    with pytest.raises(DataError, match="the validation split of the data has no pieces: give more"):
        MusicFiles(train=path, validation_fraction=0.0).load()


def test_of_a_file_with_splits_one_is_tested(tmp_path: Path) -> None:
    other = write(tmp_path / "b.json", {"train": PIECES[3:], "test": PIECES[5:]})
    data = loaded(tmp_path, test=other)
    assert data.splits() == {"train": 6, "validation": 2, "test": 1}
    assert next(data.batches("test")).lengths.tolist() == [LENGTHS[5] - 1]
    data = loaded(tmp_path, test=write(tmp_path / "c.json", PIECES[:4]))
    assert data.splits()["test"] == 4


def test_a_folder_and_an_archive_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    for split, count in {"train/slow": 3, "train": 1, "valid": 2, "test": 1}.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            midi(folder / split / f"{number}.mid", note(60 + number, 0, 480), note(40, 0, 960))
    (folder / "about.txt").write_text("songs")
    (folder / "train" / "._0.mid").write_text("hidden")
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    for name in ("songs", "songs.zip"):
        data = MusicFiles(train=name, root=str(tmp_path), steps_per_quarter=1)
        data.load()
        assert data.splits() == {"train": 4, "validation": 2, "test": 1}
        assert notes(next(data.plain_batches("test")).targets[0]) == [[40]]
    assert len(data.files) == 1
    data = MusicFiles(train="songs/train", validation="songs/test", root=str(tmp_path))
    data.load()
    assert data.splits() == {"train": 4, "validation": 1}
    assert [len(read.files) for read in data.files.values()] == [4, 1]


def test_unreadable_files_are_reported_or_left_out(tmp_path: Path) -> None:
    for number in range(12):
        midi(tmp_path / f"{number}.mid", note(60 + number, 0, 960))
    (tmp_path / "a.mid").write_bytes(b"no song")
    midi(tmp_path / "b.mid", note(120, 0, 960))
    with pytest.raises(DataError, match=r"(?s)a\.mid is not MIDI.*\n.*b\.mid.*\nRepair these files, or skip"):
        MusicFiles(train=str(tmp_path)).load()
    data = MusicFiles(train=str(tmp_path), skip_unreadable=True)
    data.load()
    assert data.splits() == {"train": 11, "validation": 1}
    [remark] = data.remarks
    assert remark.startswith(f"{tmp_path}: 2 files were left out, such as: {tmp_path}/a.mid is not MIDI")


def test_wrong_options(tmp_path: Path) -> None:
    for options, message in (
        ({"window": 0}, "window=0 is too small"),
        ({"batch_size": 0}, "batch_size=0 is too small"),
        ({"steps_per_quarter": 0}, "steps_per_quarter=0 must be between 1 and 96"),
        ({"transpose": 88}, "transpose=88 must be at least 0 and below 88"),
        ({"transpose": -1}, "transpose=-1 must be"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0 must be at least 0 and below 1"),
    ):
        with pytest.raises(ValueError, match=message):
            MusicFiles(train="a.mid", **options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no files of notes: give a folder with"):
        MusicFiles(train="empty", root=str(tmp_path)).load()
    with pytest.raises(DataError, match=r"there is no file nothing\.mid"):
        MusicFiles(train="nothing.mid", root=str(tmp_path)).load()
    data = loaded(tmp_path)
    with pytest.raises(DataError, match='no split "dev": it has train, validation, test'):
        data.num_batches("dev")
    with pytest.raises(DataError, match="another kind, or on another grid"):
        data.load(DataSpec("regression", 88, 88))
