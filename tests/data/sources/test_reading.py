from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources import packed, reading
from seqzoo.data.sources.packed import members, read_bytes, unpacked_name
from seqzoo.data.sources.reading import (
    check_characters,
    parse_json,
    read_labelled_lines,
    read_lines,
    read_parallel,
    read_pieces,
    read_text,
    read_trees,
)


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\ufeffone\u0085still one\r\ntwo\u2028still two\n\nfour")
    assert read_lines(path) == ["one\u0085still one", "two\u2028still two", "", "four"]


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x\ny\n"))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"x\ny\n"))
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("a.txt", "x\ny\n")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("_about.txt", "about")
        archive.writestr("fra.txt", "x\ny\n")
    for name in ("a.txt.gz", "a.txt.xz", "one.zip", "one.zip::a.txt", "two.zip::fra.txt"):
        assert read_lines(str(tmp_path / name)) == ["x", "y"]
    with pytest.raises(DataError, match=r"two.zip has several files: give one, as in .*two.zip::fra.txt"):
        read_lines(str(tmp_path / "two.zip"))
    with pytest.raises(DataError, match=r"has no file 'fr.txt'. Did you mean 'fra.txt'"):
        read_lines(str(tmp_path / "two.zip::fr.txt"))


@pytest.mark.parametrize("name", ["a.gz", "a.xz", "a.zip"])
def test_a_broken_archive(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "not an archive")
    with pytest.raises(DataError, match=f"{name} cannot be read .*is it complete"):
        read_text(path)


def test_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "eins\nzwei\nfünf\n", "latin-1")
    with pytest.raises(DataError, match=r"a.txt:3: byte 0xfc at position 11 is not utf-8: set data.encoding .*iconv"):
        read_text(path)
    assert read_lines(path, "latin-1")[2] == "fünf"
    with pytest.raises(DataError, match="there is no encoding 'latin-9x'"):
        read_text(path, "latin-9x")


@pytest.mark.parametrize(("end", "begin"), [("utf-16", "utf-16"), ("utf-32", "utf-32"), ("utf-16-le", None)])
def test_utf_16_is_advised_where_it_is_that(tmp_path: Path, end: str, begin: str | None) -> None:
    path = write(tmp_path / "a.txt", "ein Satz\nzwei Sätze\n", end)
    for encoding in ("utf-8", "latin-1"):
        told = (
            f"a.txt begins like a {begin} file, .*: set data.encoding={begin}"
            if begin
            else "set data.encoding to utf-16-le"
        )
        with pytest.raises(DataError, match=told):
            read_text(path, encoding)
    assert read_lines(path, end) == ["ein Satz", "zwei Sätze"]


@pytest.mark.parametrize(
    ("encoding", "content", "told"),
    [
        ("utf-16", b"plain text", r"a.txt is not utf-16, .*: set data.encoding .*often utf-8"),
        ("utf-16-le", "a\nb".encode("utf-16-le") + b"\x00\xd8", r"a.txt:2: byte 0x00 at position 6 is not utf-16-le"),
        ("utf-16", "a\nb".encode("utf-16") + b"\x00\xd8\x00\xd8", r"a.txt:2: byte 0x00 at position 8 is not utf-16"),
        ("utf-7", b"a\n+2AA-\n", r"a.txt:2: an unpaired surrogate"),
        ("hex", b"00", "there is no encoding 'hex'"),
        ("unicode_escape", b"\\ud800", "there is no encoding 'unicode_escape'"),
        ("a\0b", b"text", "there is no encoding"),
        ("utf-8", b"a\rb\rc\r", "a.txt ends its lines with carriage returns alone"),
        ("latin-1", gzip.compress(b"text", mtime=0), "a.txt is a compressed .gz file: give its name this suffix"),
        ("latin-1", lzma.compress(b"text"), "a.txt is a compressed .xz file"),
    ],
)
def test_what_is_not_text_of_this_encoding(tmp_path: Path, encoding: str, content: bytes, told: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_text(str(tmp_path / "a.txt"), encoding)


def test_the_place_of_a_byte_in_a_later_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 3)
    path = tmp_path / "a.txt"
    path.write_bytes("ä\nöü\nab".encode() + b"\xff\n")
    with pytest.raises(DataError, match=r"a.txt:3: byte 0xff at position 10 is not utf-8"):
        read_text(str(path))


def test_a_long_line_is_put_together_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIECE", 10)
    line = "0123456789" * 20_000  # each piece added to the line before takes minutes
    path = write(tmp_path / "a.txt", f"{line}\nend")
    assert list(read_pieces(path)) == [f"{line}\n", "end"]


@pytest.mark.parametrize("suffix", ["tar", "tgz", "tar.gz", "tar.xz", "tar.bz2"])
def test_files_in_tar_archives(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.txt", f"text {name}")
    (tmp_path / "link.txt").symlink_to("/etc/hostname")
    path = tmp_path / f"a.{suffix}"
    with tarfile.open(path, f"w:{suffix.removeprefix('tar').removeprefix('.').replace('tgz', 'gz')}") as archive:
        archive.add(tmp_path / "a.txt", "./in/a.txt")
        archive.add(tmp_path / "b.txt", "in/b.txt")
        archive.add(tmp_path / "link.txt", "in/link.txt")
    assert members(str(path)) == ["in/a.txt", "in/b.txt"], "links are left out"
    assert [read_text(f"{path}::in/{name}.txt") for name in ("b", "a", "b")] == ["text b", "text a", "text b"]
    assert unpacked_name(f"{path}::in/b.txt") == "in/b.txt"
    with pytest.raises(DataError, match=r"has several files: give one, as in .*::in/b.txt"):
        read_text(str(path))
    with pytest.raises(DataError, match=r"has no file 'in/link.txt'. .*in/a.txt"):
        read_text(f"{path}::in/link.txt")


def test_a_tar_archive_of_one_file_and_damaged_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "text")
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "a.txt", "a.txt")
    assert read_text(str(path)) == "text"
    assert unpacked_name(str(path)) == "a.txt"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"a.tar.gz cannot be read \(.*\): is it complete"):
        read_text(str(path))
    (tmp_path / "b.tar").write_bytes(b"text" * 200)
    with pytest.raises(DataError, match=r"b.tar cannot be read"):
        members(str(tmp_path / "b.tar"))


@pytest.mark.parametrize("damage", ["cut", "header"])
def test_a_tar_archive_whose_end_is_missing(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("a.txt", "b.txt"):
            write(tmp_path / name, "text")
            archive.add(tmp_path / name, name)
    content = bytearray(path.read_bytes())
    assert members(str(path)) == ["a.txt", "b.txt"]
    second = 2 * tarfile.BLOCKSIZE
    content[second] ^= 1
    path.write_bytes(content if damage == "header" else content[:second])
    with pytest.raises(DataError, match=r"a\.tar .*: is it complete\?"):
        members(str(path))


def test_an_archive_is_listed_again_after_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for text in ("one", "another"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", text)
        assert read_text(str(path)) == text


@pytest.mark.parametrize("name", ["a.gz", "a.xz", "a.zip", "a.zip::a.txt", "a.tar.gz", "a.tar.xz::a.txt"])
def test_what_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(packed, "UNCHECKED", 2**12)
    content = bytes(2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    (tmp_path / "a.xz").write_bytes(lzma.compress(content))
    for kind in ("gz", "xz"):
        with tarfile.open(tmp_path / f"a.tar.{kind}", f"w:{kind}") as packed_files:
            member = tarfile.TarInfo("a.txt")
            member.size = len(content)
            packed_files.addfile(member, io.BytesIO(content))
    with pytest.raises(DataError, match=r"expands to more than [0-9,]+ bytes, 100 times its size"):
        read_bytes(str(tmp_path / name))
    monkeypatch.setattr(packed, "UNCHECKED", 2**21)
    assert read_bytes(str(tmp_path / name)) == content


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag, before the file and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.zip is encrypted: decompress it with its password"):
        read_text(str(path))


def test_archives_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(DataError, match=r"a.zip has no files"):
        read_text(str(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text")
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 99  # a way of packing that Python does not know
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.zip cannot be read \(.*compression method"):
        read_text(str(path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "nested too deep"),
        ("9" * 5000, "a number has too many digits"),
        ("{", r"a:3: not JSON \(.*\): expected one object per line"),
    ],
)
def test_json_that_python_does_not_read(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse_json(text, "a:3", "one object per line")


def test_half_a_character() -> None:
    check_characters("\U0001f642", "a:1")
    with pytest.raises(
        DataError, match=r"a:1: \\ud83d is half of a character .*: correct the text, where the other half is missing"
    ):
        check_characters("well \ud83d", "a:1")


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.txt is empty"):
        read_text(write(tmp_path / "a.txt", " \n\n"))


def test_labelled_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "1 a good one\n\nDESC:manner How ?\n")
    assert [row.fields for row in read_labelled_lines(path)] == [["1", "a good one"], ["DESC:manner", "How ?"]]
    assert read_labelled_lines(write(tmp_path / "c", "1\ta good one\n"))[0].fields == ["1", "a good one"]
    with pytest.raises(DataError, match=r"b:2: found 'alone', expected a label, a space and a text"):
        read_labelled_lines(write(tmp_path / "b", "1 a\nalone\n"))


def test_parallel_files(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", "eins \nzwei\n"), write(tmp_path / "a.en", "one\ntwo")
    assert [row.fields for row in read_parallel(source, target)] == [["eins", "one"], ["zwei", "two"]]
    with pytest.raises(DataError, match=r"a.de has 2 lines, but .*b.en has 1"):
        read_parallel(source, write(tmp_path / "b.en", "one\n"))


def test_a_tree_that_is_too_deep(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "(3 good)\n" + "(3 " * 100_000 + "x" + ")" * 100_000)
    with pytest.raises(DataError, match=r"a:2: the tree is more than 1,000 levels deep"):
        read_trees(path)
