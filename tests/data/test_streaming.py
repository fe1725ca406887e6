"""Text on disk: the same batches as from memory, made once, by whoever comes first."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.files import text_files
from seqzoo.data.files.text_files import TextFiles
from seqzoo.data.sources import reading
from seqzoo.data.text import token_files
from seqzoo.data.text.token_files import Pieces, Store

LINES = ["The cat sat.", "", "Ein Hund läuft; 犬！", "a b c", "the end"] * 40


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small enough that a character of several bytes, and \\r\\n, fall apart; and a cache of the test's own."""
    monkeypatch.setattr(reading, "PIECE", 7)
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(text_files, "user_cache", lambda kind: tmp_path / "cache")


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "utf-8-sig"])
def test_pieces_are_the_text(end: str, encoding: str, tmp_path: Path) -> None:
    text = "\n".join(LINES).replace("ä", "a") if encoding == "gb18030" else "\n".join(LINES)
    path = write(tmp_path / "a.txt", text.replace("\n", end), encoding)
    pieces = list(Pieces(path, encoding))
    assert "".join(pieces) == reading.read_text(path, encoding) == text
    assert all(piece.endswith("\n") for piece in pieces[:-1])
    assert "".join(Pieces(path, encoding, closed=True)) == text + "\n"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("at_line", [False, True])
def test_a_cut_text(share: float, at_line: bool, tmp_path: Path) -> None:
    text = "\n".join(LINES) + "\n"
    whole = Pieces(write(tmp_path / "a.txt", text))
    first, second = ("".join(part) for part in whole.cut(share, at_line))
    place = int(len(text) * share)
    assert first == text[: text.rfind("\n", 0, place) + 1 if at_line else place]
    assert first + second == text


def test_a_text_of_two_lines_has_one_on_each_side(tmp_path: Path) -> None:
    first, second = Pieces(write(tmp_path / "a.txt", f"{'long ' * 20}\nb\n")).cut(0.5, at_line=True)
    assert ("".join(first), "".join(second)) == (f"{'long ' * 20}\n", "b\n")


@pytest.mark.parametrize(
    ("tokenizer", "text", "part"), [("words", "one line", "line"), ("characters", "a", "character")]
)
@pytest.mark.parametrize("on_disk", [True, False])
def test_a_text_that_cannot_be_cut(tokenizer: str, text: str, part: str, on_disk: bool, tmp_path: Path) -> None:
    data = TextFiles(train=write(tmp_path / "a.txt", text), tokenizer=tokenizer, on_disk=on_disk)
    with pytest.raises(
        DataError,
        match=f"a.txt has only one {part}, which cannot be split .* or a validation file with data.validation",
    ):
        data.load()


def test_a_byte_that_is_no_character_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("äöü\nab\n".encode() + b"c\xff\n")
    with pytest.raises(DataError, match=r"a.txt:3: byte 0xff at position 11 is not utf-8"):
        list(Pieces(str(path)))


def loaded(path: str, **options: Any) -> TextFiles:
    data = TextFiles(train=path, batch_size=3, evaluation_batch_size=2, window=9, **options)
    data.load()
    return data


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tokenizer": "words"},
        {"tokenizer": "bpe", "vocabulary_size": 100},
        {"tokenizer": "words", "min_frequency": 41},
        {"random_windows": True},
    ],
)
def test_batches_from_disk_are_those_from_memory(options: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n".join(LINES))
    memory, disk = loaded(path, **options), loaded(path, on_disk=True, **options)
    assert disk.spec.inputs.to_plain() == memory.spec.inputs.to_plain()
    assert disk.splits() == memory.splits()
    for split in memory.splits():
        for ours, theirs in zip(memory.batches(split, 1), disk.batches(split, 1), strict=True):
            assert torch.equal(ours.inputs, theirs.inputs)
            assert torch.equal(ours.targets, theirs.targets)
            assert ours.inputs.dtype == theirs.inputs.dtype == torch.long


def test_a_large_file_is_made_to_ids_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n".join(LINES))
    monkeypatch.setattr(text_files, "LARGE", 100)
    first = loaded(path)
    made = sorted(file.name for file in (tmp_path / "cache").iterdir() if not file.name.startswith("."))
    assert [name.partition(".")[2] for name in made] == ["json", "uint8", "uint8"] or len(made) == 3
    monkeypatch.setattr(token_files, "encode_pieces", _only_empty(token_files.encode_pieces))
    copy = write(tmp_path / "b.txt", "\n".join(LINES))
    again = loaded(copy)
    assert torch.equal(next(again.batches("train")).inputs, next(first.batches("train")).inputs)
    write(tmp_path / "b.txt", "\n".join([*LINES, "more"]))
    with pytest.raises(AssertionError, match="made again"):
        loaded(copy)


def _only_empty(real: Any) -> Any:
    def encode(codec: Any, pieces: Any, limit: int | None = None) -> Any:
        assert pieces == [""], "made again"
        return real(codec, pieces, limit)

    return encode


def test_what_is_cut_short_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail(file: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store._made("a", fail)
    assert [path.name for path in tmp_path.iterdir() if "cache" not in path.name] == [".a.lock"]
    assert store._made("a", lambda file: file.write(b"whole")).read_bytes() == b"whole"


def test_whoever_comes_second_waits(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    store, begun, go_on, made = Store(tmp_path), threading.Event(), threading.Event(), []

    def slow(file: Any) -> None:
        begun.set()
        assert go_on.wait(60)
        made.append("first")
        file.write(b"first")

    first = threading.Thread(target=store._made, args=("a", slow))
    second = threading.Thread(target=store._made, args=("a", lambda file: made.append("second")))
    first.start()
    assert begun.wait(60)
    second.start()
    go_on.set()
    first.join(60)
    second.join(60)
    assert made == ["first"]
    assert (tmp_path / "a").read_bytes() == b"first"
