"""Reading text files as lines, rows and pairs. Errors are reported with the file and the line number.

A path may name a compressed file, or a file in an archive: `fra-eng.zip::fra.txt`.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from seqzoo.contracts.errors import DataError, located
from seqzoo.contracts.tree_notation import children_of, parse_tree
from seqzoo.data.sources.marked_text import mark
from seqzoo.data.sources.packed import PIECE, open_bytes

DEEPEST_TREE = 1000
"""Maximum depth of a tree of phrases, each of which is a text; those of real sentences are less than a hundred deep."""

PACKED = {
    b"\x1f\x8b": ".gz",
    b"\xfd7zXZ\x00": ".xz",
    b"PK\x03\x04": ".zip",
    b"BZh": ".bz2",
    b"\x28\xb5\x2f\xfd": ".zst",
}
"""The first bytes of compressed files, and their suffixes."""
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the next one
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF32_BE: "utf-32",
}
"""Byte order marks."""
_NOT_OF_FILES = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")


class Row(NamedTuple):
    """Fields of a row, and file:line, for messages."""

    fields: list[str]
    where: str


def read_text(path: str, encoding: str = "utf-8") -> str:
    """The whole text of a file, with line ends \\n and without a byte order mark."""
    return "".join(read_pieces(path, encoding))


def read_pieces(path: str, encoding: str = "utf-8") -> Iterator[str]:
    """The same text in pieces of whole lines, of about PIECE bytes each."""
    unfinished: list[str] = []  # the beginning of a line whose end has not been read
    filled, first = False, True
    for text in _decoded(path, encoding):
        end = text.rfind("\n") + 1
        if end:
            piece = "".join([*unfinished, text[:end]]).replace("\r\n", "\n")
            piece, first = piece.removeprefix("\ufeff") if first else piece, False
            filled = filled or not piece.isspace()
            yield piece
            unfinished.clear()
        unfinished.append(text[end:])
    piece = "".join(unfinished)
    if first:
        piece = piece.removeprefix("\ufeff")
        if "\r" in piece.rstrip("\r"):
            raise DataError(
                f"{path} ends its lines with carriage returns alone, as old programs do: convert it, as in: "
                "tr '\\r' '\\n'"
            )
    if piece:
        yield piece
    if not filled and (not piece or piece.isspace()):
        raise DataError(f"{path} is empty: give a file with text")


def _decoded(path: str, encoding: str) -> Iterator[str]:
    """The decoded text in pieces of about PIECE bytes."""
    decoder = _decoder(encoding)
    lines = position = 0  # before the current piece
    with open_bytes(path) as file:
        data: bytes | None = None
        while data != b"":
            data = file.read(PIECE)
            if not position:
                _check_beginning(path, data, encoding)
            state = decoder.getstate()
            try:
                text = decoder.decode(data, final=not data)
                text.encode()  # some encodings accept unpaired surrogates, which UTF-8 cannot represent
            except UnicodeDecodeError as error:
                # error.object may begin with bytes of the previous piece, or lack the byte order mark of this one
                start = len(data) - len(error.object) + error.start
                decoder.setstate(state)
                lines += decoder.decode(data[: max(0, start)]).count("\n")
                raise DataError(
                    f"{path}:{lines + 1}: byte 0x{error.object[error.start]:02x} at position {position + start} is not "
                    f"{encoding}: set data.encoding to what the file is written in (often latin-1 or gb18030), or "
                    "convert the file, as in: iconv -f latin1 -t utf-8"
                ) from None
            except UnicodeEncodeError as error:
                lines += text.count("\n", 0, error.start)
                raise DataError(
                    f"{path}:{lines + 1}: an unpaired surrogate is not a character: correct the line"
                ) from None
            lines += text.count("\n")
            position += len(data)
            if text:
                yield text


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    try:
        "".encode(encoding)  # fails for codecs that are not text encodings, such as hex
        if codecs.lookup(encoding).name in _NOT_OF_FILES:
            raise LookupError
        return codecs.getincrementaldecoder(encoding)()
    except (LookupError, ValueError):
        raise DataError(f"there is no encoding {encoding!r}: set data.encoding to utf-8, latin-1 or gb18030") from None


def _check_beginning(path: str, data: bytes, encoding: str) -> None:
    """Raise DataError for compressed files and files of another encoding, whose bytes may nevertheless decode."""
    for begin, suffix in PACKED.items():
        if data.startswith(begin):
            raise DataError(f"{path} is a compressed {suffix} file: give its name this suffix, or decompress it")
    name = codecs.lookup(encoding).name
    if name in WIDE.values() and not data.startswith(tuple(WIDE)):
        raise DataError(
            f"{path} is not {name}, whose files begin with a byte order mark: set data.encoding to its encoding (often "
            f"utf-8, or {name}-le)"
        )
    if name.startswith(("utf-16", "utf-32")):
        return
    for begin, name in WIDE.items():
        if data.startswith(begin):
            raise DataError(f"{path} begins like a {name} file, but is read as {encoding}: set data.encoding={name}")
    if 4 * data.count(0) > len(data):
        raise DataError(
            f"{path} consists of NUL bytes in large part: it is not text, or it is utf-16 (set data.encoding to "
            "utf-16-le or utf-16-be)"
        )


def parse_json(text: str, where: str, expected: str) -> Any:
    """Parse JSON.

    Args:
        text: the JSON.
        where: file or line, for the message.
        expected: what it should contain, for the message.

    Raises:
        DataError: it is not JSON, is nested too deep, or has a number with too many digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error}): expected {expected}") from None
    except (RecursionError, ValueError) as error:  # ValueError: a number with thousands of digits
        reason = "nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"
        raise DataError(f"{where}: this JSON cannot be read ({reason}): expected {expected}") from None


def check_characters(text: str, where: str) -> None:
    """Check that a text can be encoded.

    Raises:
        DataError: it has an unpaired surrogate, which JSON can represent.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: \\u{ord(text[error.start]):04x} is half of a character (an unpaired surrogate): correct the "
            "text, where the other half is missing"
        ) from None


def read_lines(path: str, encoding: str = "utf-8") -> list[str]:
    """The lines of a file. Only \\n ends a line: str.splitlines would also split at U+0085 and U+2028."""
    return read_text(path, encoding).removesuffix("\n").split("\n")


def read_with_label(path: str, label: str, encoding: str = "utf-8") -> list[Row]:
    """Read lines of text as rows of this label and the text."""
    return [Row([label, line.strip()], f"{path}:{number}") for number, line in filled_lines(path, encoding)]


def read_document(path: str, label: str, encoding: str = "utf-8") -> Row:
    """Read a file as a row of this label and its whole text."""
    return Row([label, read_text(path, encoding).strip()], path)


def read_labelled_lines(path: str, encoding: str = "utf-8") -> list[Row]:
    """Read lines of "LABEL text" as rows of label and text."""
    rows = []
    for number, line in filled_lines(path, encoding):
        label, *text = line.split(maxsplit=1)
        if not text:
            raise DataError(f"{path}:{number}: found {line[:40]!r}, expected a label, a space and a text")
        rows.append(Row([label, text[0].strip()], f"{path}:{number}"))
    return rows


def read_target_lines(path: str, encoding: str = "utf-8") -> list[Row]:
    """Read examples of three lines: a text with $T$ in place of its target, the target, and the label.

    Where $T$ occurs several times, the first one is marked.

    Returns:
        Rows of label and text with the marked target.

    Source: the form of Dong et al., Adaptive Recursive Neural Network for Target-dependent Twitter Sentiment
    Classification, 2014 (https://aclanthology.org/P14-2009).
    """
    lines = list(filled_lines(path, encoding))
    if len(lines) % 3:
        raise DataError(f"{path}: {len(lines):,} lines, but an example has three: text with $T$, target, label")
    rows = []
    for (number, text), (_, target), (_, label) in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        before, place, after = text.strip().partition("$T$")
        if not place:
            raise DataError(f"{path}:{number}: no $T$ in {text[:40]!r}: write it in place of the target")
        marked = mark(before, target.strip(), after.replace("$T$", target.strip()))
        rows.append(Row([label.strip(), marked], f"{path}:{number}"))
    return rows


def read_trees(path: str, encoding: str = "utf-8") -> list[Row]:
    """Read bracketed trees, one per line: "(3 (2 It) (4 shines))".

    Returns:
        A row of label and lower-cased words for each node, the root before its phrases.
    """
    rows: list[Row] = []
    for number, line in filled_lines(path, encoding):
        where = f"{path}:{number}"
        with located(where):
            tree = parse_tree(line, "brackets")
        if "" in tree.labels:
            raise DataError(f"{where}: found {line[:40]!r}, expected a tree such as (3 (2 It) (4 shines))")
        depths = [1] * len(tree.parents)
        for node in range(len(depths) - 2, -1, -1):
            depths[node] += depths[tree.parents[node]]
        if max(depths) > DEEPEST_TREE:
            raise DataError(f"{where}: the tree is more than {DEEPEST_TREE:,} levels deep")
        children, texts = children_of(tree.parents), list[str]()
        for word, below in zip(tree.words, children, strict=True):
            texts.append(" ".join([*word.lower().split(), *(texts[child] for child in below)]))
        waiting = [len(texts) - 1]
        while waiting:
            node = waiting.pop()
            rows.append(Row([tree.labels[node], texts[node]], where))
            waiting += reversed(children[node])
    return rows


def read_parallel(
    source: str, target: str, source_encoding: str = "utf-8", target_encoding: str = "utf-8"
) -> list[Row]:
    """Read two files aligned by line as rows of two stripped texts."""
    sources, targets = read_lines(source, source_encoding), read_lines(target, target_encoding)
    if len(sources) != len(targets):
        raise DataError(
            f"{source} has {len(sources):,} lines, but {target} has {len(targets):,}: "
            "parallel files need one line per pair each"
        )
    pairs = zip(sources, targets, strict=True)
    return [
        Row([left.strip(), right.strip()], f"{source}:{number}") for number, (left, right) in enumerate(pairs, start=1)
    ]


def filled_lines(path: str, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their line numbers."""
    return ((number, line) for number, line in enumerate(read_lines(path, encoding), start=1) if line.strip())
