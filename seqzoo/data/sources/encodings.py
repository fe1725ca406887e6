"""Detection of the encoding of a text file."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.packed import PIECE, open_bytes
from seqzoo.data.sources.reading import PACKED, WIDE

AUTO = "auto"

EXAMINED = 2**26
"""Bytes of a file that are checked for their encoding."""

FOREIGN = 0.3
"""Share of bytes above 127 among letters from which on a text is not in the Latin alphabet."""

OTHER_ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8_r")


def find_encoding(path: str) -> str:
    """The encoding of a text file: that of its byte order mark, UTF-8 where that fits, else latin-1 or cp1252.

    Raises:
        DataError: the text is neither UTF-8 nor in the Latin alphabet.
    """
    decoder, size = codecs.getincrementaldecoder("utf-8")(), 0
    with open_bytes(path) as file:
        data = begin = file.read(PIECE)
        if data.startswith(tuple(PACKED)):
            return "utf-8"  # reading it reports the missing suffix
        for mark, name in WIDE.items():
            if data.startswith(mark):
                return name
        try:
            while data and size < EXAMINED:
                decoder.decode(data)
                size += len(data)
                data = file.read(PIECE)
            decoder.decode(b"", final=not data)
            return "utf-8"
        except UnicodeDecodeError:
            sample = data or begin
    high = sum(byte > 127 for byte in sample)
    letters = sum(chr(byte).isalpha() for byte in sample if byte < 128)
    if high > FOREIGN * (high + letters):
        fitting = [name for name in OTHER_ENCODINGS if _decodes(sample, name)]
        raise DataError(f"{path} is not UTF-8: set data.encoding to what it is written in, perhaps {_any_of(fitting)}")
    controls = any(0x80 <= byte < 0xA0 for byte in sample)
    return "cp1252" if controls and _decodes(sample, "cp1252") else "latin-1"


def encoding_statement(encoding: str) -> str | None:
    """What to say about an encoding that was found; None for UTF-8."""
    if encoding == "utf-8":
        return None
    if encoding in WIDE.values():
        return f"{encoding} by the byte order mark"
    return f"read as {encoding}, since not UTF-8; if letters are wrong, set data.encoding, perhaps to gb18030 or cp1250"


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names) if names else "latin-1"
