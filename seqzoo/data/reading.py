"""Text files to lines, rows, sentences and pairs; every complaint names the file and the line.

A path may end in .gz or .xz, or name a file inside a zip archive: `fra-eng.zip::fra.txt`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from seqzoo.data.marked_text import mark
from seqzoo.errors import DataError, closest

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_TREE = re.compile(r"\(\S*|\)|[^\s()]+")

PIECE = 2**22
"""Bytes that are read at a time."""

_NOT_A_WORD = re.compile(r"\d+[-.]\d+")


class Row(NamedTuple):
    """The wanted fields of one row, and file:line."""

    fields: list[str]
    where: str


class Sentence(NamedTuple):
    """The wanted columns of one sentence, each as long as the sentence, and file:line of its first token."""

    columns: list[list[str]]
    where: str


def read_text(path: str, encoding: str = "utf-8") -> str:
    """The whole text; line ends are \\n, a byte order mark is gone."""
    return "".join(read_pieces(path, encoding))


def read_pieces(path: str, encoding: str = "utf-8") -> Iterator[str]:
    """The same text in pieces that end where lines end, never all of it in memory."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise DataError(f"There is no encoding {encoding!r}: set data.encoding to utf-8, latin-1 or gb18030.") from None
    rest, lines, place, filled, first = "", 0, 0, False, True
    with open_bytes(path) as file:
        while True:
            data = file.read(PIECE)
            start = place - len(decoder.getstate()[0])  # of what is decoded now
            try:
                text = rest + decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                line = lines + error.object.count(b"\n", 0, error.start) + 1
                raise DataError(
                    f"{path}:{line}: byte 0x{error.object[error.start]:02x} at position {start + error.start} is not "
                    f"{encoding}: set data.encoding to what the file is written in (often latin-1 or gb18030), or "
                    "convert the file, as in: iconv -f latin1 -t utf-8."
                ) from None
            place += len(data)
            lines += data.count(b"\n")
            end = text.rfind("\n") + 1 if data else len(text)
            piece, rest = text[:end].replace("\r\n", "\n"), text[end:]
            if first:
                piece, first = piece.removeprefix("\ufeff"), not piece
            filled = filled or not (not piece or piece.isspace())
            if piece:
                yield piece
            if not data:
                break
    if not filled:
        raise DataError(f"{path} is empty: give a file that holds text.")


def read_lines(path: str, encoding: str = "utf-8") -> list[str]:
    """Lines end at \\n alone: str.splitlines would also cut at U+0085 and U+2028, which texts contain."""
    return read_text(path, encoding).removesuffix("\n").split("\n")


def read_table(path: str, columns: list[str | int], encoding: str = "utf-8") -> list[Row]:
    """The wanted columns of a .csv, .jsonl or else tab separated file, without the space around a field.

    columns: names, found in the first line (in every line of .jsonl); or numbers, from 0, of a file without a header.
    """
    inner = path.removesuffix(".gz").removesuffix(".xz")
    if inner.endswith((".jsonl", ".json")):
        return [_json_row(path, number, line, columns) for number, line in _filled_lines(path, encoding)]
    rows = _csv_rows(path, encoding) if inner.endswith(".csv") else _tab_rows(path, encoding)
    if any(isinstance(column, str) for column in columns):
        header = [name.strip() for name in next(rows)[1]]
        indices = [column_of(path, header, column) for column in columns]
    else:
        indices = [int(column) for column in columns]
    return [Row(_pick(path, number, fields, indices), f"{path}:{number}") for number, fields in rows]


def read_with_label(path: str, label: str, encoding: str = "utf-8") -> list[Row]:
    """Lines of text -> rows of this label and text."""
    return [Row([label, line.strip()], f"{path}:{number}") for number, line in _filled_lines(path, encoding)]


def read_labelled_lines(path: str, encoding: str = "utf-8") -> list[Row]:
    """Lines of "LABEL text" -> rows of label and text."""
    rows = []
    for number, line in _filled_lines(path, encoding):
        label, _, text = line.strip().partition(" ")
        if not text.strip():
            raise DataError(f"{path}:{number}: found {line!r}, expected a label, a space and a text.")
        rows.append(Row([label, text.strip()], f"{path}:{number}"))
    return rows


def read_target_lines(path: str, encoding: str = "utf-8") -> list[Row]:
    """Three lines an example, a text with $T$ in the place of its target, the target, and the label -> rows of label
    and text with the target marked. Where $T$ stands several times, the first one is marked.

    Source: the form of Dong et al., Adaptive Recursive Neural Network for Target-dependent Twitter Sentiment
    Classification, 2014 (https://aclanthology.org/P14-2009).
    """
    lines = list(_filled_lines(path, encoding))
    if len(lines) % 3:
        raise DataError(f"{path}: {len(lines):,} lines, but an example has three: text with $T$, target, label.")
    rows = []
    for (number, text), (_, target), (_, label) in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        before, place, after = text.strip().partition("$T$")
        if not place:
            raise DataError(f"{path}:{number}: no $T$ in {text[:40]!r}: write it in the place of the target.")
        marked = mark(before, target.strip(), after.replace("$T$", target.strip()))
        rows.append(Row([label.strip(), marked], f"{path}:{number}"))
    return rows


def read_trees(path: str, encoding: str = "utf-8") -> list[Row]:
    """Trees in brackets, one a line, "(3 (2 It) (4 shines))" -> a row of label and words for every node: the whole
    first, then its phrases. Words are lower-cased.
    """
    rows: list[Row] = []
    for number, line in _filled_lines(path, encoding):
        words: list[str] = []
        nodes: list[tuple[int, str, int]] = []  # those still open: row, label, first word
        start, sound = len(rows), True
        for piece in _TREE.findall(line):
            if piece.startswith("("):
                nodes.append((len(rows), piece[1:], len(words)))
                rows.append(Row(["", ""], f"{path}:{number}"))
            elif not nodes:
                sound = False
            elif piece == ")":
                row, label, first = nodes.pop()
                rows[row].fields[:] = [label, " ".join(words[first:])]
            else:
                words.append(piece.lower())
        if not sound or not all(field for row in rows[start:] for field in row.fields):
            raise DataError(f"{path}:{number}: found {line[:40]!r}, expected a tree such as (3 (2 It) (4 shines)).")
    return rows


def read_conll(path: str, columns: list[str | int], encoding: str = "utf-8") -> list[Sentence]:
    """Sentences apart by blank lines, a token a line; fields apart by tabs or, without any tab, by space.

    columns: numbers from 0 (-1 is the last), or names of CoNLL-U (form, lemma, upos, ...). With a name the file is
    CoNLL-U: comments, ranges (`1-2`) and empty nodes (`8.1`) are left out.
    """
    conllu = is_conllu(columns)
    indices = [column_of(path, list(CONLLU_COLUMNS), column) for column in columns]
    sentences: list[Sentence] = []
    tokens: list[list[str]] = []
    first = 0
    for number, line in enumerate([*read_lines(path, encoding), ""], start=1):
        if not line.strip():
            if tokens:
                sentences.append(Sentence([list(column) for column in zip(*tokens, strict=True)], f"{path}:{first}"))
            tokens = []
            continue
        fields = conll_fields(line, conllu)
        if fields is None:
            continue
        if not tokens:
            first = number
        tokens.append(_pick(path, number, fields, indices))
    if not sentences:
        raise DataError(f"{path} holds no sentences: expected a token a line and a blank line after each sentence.")
    return sentences


def is_conllu(columns: list[str | int]) -> bool:
    """Whether columns are those of CoNLL-U, which have names."""
    return any(isinstance(column, str) for column in columns)


def conll_fields(line: str, conllu: bool) -> list[str] | None:
    """The fields of a token's line; None of one that holds no token, such as a comment of CoNLL-U."""
    fields = line.split("\t") if "\t" in line else line.split()
    if line.startswith("-DOCSTART-") or (conllu and (line.startswith("#") or _NOT_A_WORD.fullmatch(fields[0]))):
        return None
    return fields


def read_parallel(source: str, target: str, encoding: str = "utf-8") -> list[Row]:
    """The lines of two files side by side, without the space around them."""
    sources, targets = read_lines(source, encoding), read_lines(target, encoding)
    if len(sources) != len(targets):
        raise DataError(
            f"{source} has {len(sources):,} lines, but {target} has {len(targets):,}: "
            "parallel files need a line each for every pair."
        )
    pairs = zip(sources, targets, strict=True)
    return [
        Row([left.strip(), right.strip()], f"{source}:{number}") for number, (left, right) in enumerate(pairs, start=1)
    ]


def read_bytes(path: str) -> bytes:
    """A file, unpacked where it is .gz, .xz or a member of a .zip."""
    with open_bytes(path) as file:
        return file.read()


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """The same, to be read bit by bit; a damaged file is told as DataError while it is read, too."""
    archive, _, member = path.partition("::")
    try:
        if archive.endswith(".zip"):
            with zipfile.ZipFile(archive) as opened, opened.open(_member_of(opened, archive, member)) as file:
                yield file
        else:
            opener: Any = gzip.open if archive.endswith(".gz") else lzma.open if archive.endswith(".xz") else open
            with opener(archive, "rb") as file:
                yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}): is it whole?") from None


def _member_of(opened: zipfile.ZipFile, archive: str, member: str) -> str:
    names = [name for name in opened.namelist() if not name.endswith("/")]
    if not member and len(names) == 1:
        return names[0]
    if not member:
        raise DataError(f"{archive} holds several files: name one, as in {archive}::{names[-1]}.{closest('', names)}")
    if member not in names:
        raise DataError(f"{archive} holds no file {member!r}.{closest(member, names)}")
    return member


def _filled_lines(path: str, encoding: str) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(read_lines(path, encoding), start=1) if line.strip())


def _tab_rows(path: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in _filled_lines(path, encoding))


def _csv_rows(path: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(path, encoding), newline="\n"), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: not CSV ({error}): mend the quotes or the end of this line."
        ) from None


def _json_row(path: str, number: int, line: str, columns: list[str | int]) -> Row:
    where = f"{path}:{number}"
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error}): expected one object a line.") from None
    if not isinstance(values, dict):
        raise DataError(f'{where}: found {line[:40]!r}, expected an object such as {{"text": ..., "label": ...}}.')
    for column in columns:
        if column not in values:
            raise DataError(f"{where}: no key {column!r}.{closest(str(column), values)}")
    return Row([str(values[column]).strip() for column in columns], where)


def column_of(path: str, header: list[str], column: str | int) -> int:
    if isinstance(column, int):
        return column
    if column not in header:
        raise DataError(f"{path} has no column {column!r}.{closest(column, header)}")
    return header.index(column)


def _pick(path: str, number: int, fields: list[str], indices: list[int]) -> list[str]:
    # counted from both ends, so that a column from the front and one from the end are never the same
    needed = max((index + 1 for index in indices if index >= 0), default=0)
    needed += max((-index for index in indices if index < 0), default=0)
    if len(fields) < needed:
        raise DataError(
            f"{path}:{number}: {len(fields)} columns where at least {needed} are needed: mend the line, "
            "or choose other columns."
        )
    return [fields[index].strip() for index in indices]
