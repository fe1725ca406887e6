"""Texts that need not fit into memory: read piece by piece, with their ids cached in a file."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.locks import lock
from seqzoo.data.sources.fingerprints import whole_digest
from seqzoo.data.sources.reading import read_pieces
from seqzoo.data.sources.tables import json_texts
from seqzoo.data.text.codec import TextCodec, codec_from_plain

VERSION = 2
"""To be raised whenever a tokenizer changes, so that cached ids are computed again."""


@dataclass(frozen=True)
class Pieces:
    """The text of a file, or a part of it, in pieces of whole lines. Each iteration reads the file again.

    Attributes:
        path: of the file.
        encoding: of the file.
        closed: add a line end to a last line without one.
        key: of the texts, if the file is JSON; None: it is plain text.
        start, end: of the part, in characters; None: to the end of the file.
    """

    path: str
    encoding: str = "utf-8"
    closed: bool = False
    key: str | None = None
    start: int = 0
    end: int | None = None

    def __iter__(self) -> Iterator[str]:
        place = 0
        for piece in self._all():
            part = piece[max(0, self.start - place) : None if self.end is None else max(0, self.end - place)]
            place += len(piece)
            if part:
                yield part
            if self.end is not None and place >= self.end:
                return

    def _all(self) -> Iterator[str]:
        if self.key is not None:
            yield from json_texts(self.path, self.key, self.encoding)
            return
        for piece in read_pieces(self.path, self.encoding):
            yield f"{piece}\n" if self.closed and not piece.endswith("\n") else piece

    def cut(self, share: float, at_line: bool) -> tuple[Pieces, Pieces]:
        """Split the text in two.

        Args:
            share: of the characters in the first part.
            at_line: split at the beginning of a line.

        Raises:
            DataError: a part would be empty.
        """
        length = sum(map(len, self))
        place = int(length * share)
        if at_line:
            first = 0
            for piece in self:
                if first + len(piece) > place:
                    place = first + piece.rfind("\n", 0, place - first) + 1
                    place = place or piece.find("\n") + 1
                    break
                first += len(piece)
        if not 0 < place < length:
            part = "line" if at_line else "character"
            raise DataError(
                f"{self.path} has only one {part}, which cannot be split into a training and a validation text: give "
                "more text, or a validation file with data.validation"
            )
        return replace(self, end=place), replace(self, start=place)

    def fingerprint(self) -> str:
        """A key of the text that does not depend on the name of the file."""
        archive, _, member = self.path.partition("::")
        status = Path(archive).stat()
        parts = (whole_digest(archive, status.st_mtime_ns, status.st_size), member, self.encoding, self.closed)
        keys = () if self.key is None else (self.key,)
        return repr((*parts, *keys, self.start, self.end, VERSION))


def encode_pieces(codec: TextCodec, pieces: Iterable[str], limit: int | None = None) -> Iterator[np.ndarray]:
    """The first `limit` ids of a text, in arrays of the smallest integer type that holds all ids."""
    kind = np.uint8 if codec.size <= 2**8 else np.int16 if codec.size <= 2**15 else np.int32
    for piece in pieces:
        ids = np.array(codec.encode(piece)[:limit], dtype=kind)
        yield ids
        if limit is not None:
            limit -= len(ids)
            if limit == 0:
                return


class Store:
    """A cache of what is computed from large files. Processes that need the same entry wait for the first of them."""

    def __init__(self, folder: Path):
        self.folder = folder

    def codec(self, pieces: Pieces, options: list, learn: Callable[[Iterable[str]], TextCodec]) -> TextCodec:
        """The codec that `learn` builds from a text.

        Args:
            pieces: the text.
            options: all else that the codec depends on.
            learn: called where the cache does not have the codec.
        """

        def write(file: IO[bytes]) -> None:
            file.write(json.dumps(learn(_watched(pieces, "vocabulary of")).to_plain()).encode())

        path = self._made(f"{_key(pieces, options)}.json", write)
        return cast(TextCodec, codec_from_plain(json.loads(path.read_text(encoding="utf-8"))))

    def ids(self, pieces: Pieces, codec: TextCodec) -> Tensor:
        """The ids of a text, (N,), memory-mapped from their file."""

        def write(file: IO[bytes]) -> None:
            for ids in encode_pieces(codec, _watched(pieces, "encoding")):
                file.write(ids.tobytes())

        (sample,) = encode_pieces(codec, [""])
        kind = torch.from_numpy(sample).dtype
        path = self._made(f"{_key(pieces, codec.to_plain())}.{sample.dtype.name}", write)
        return torch.from_file(str(path), shared=False, size=path.stat().st_size // sample.itemsize, dtype=kind)

    def _made(self, name: str, write: Callable[[IO[bytes]], None]) -> Path:
        """Written aside and renamed, so that a file is there as a whole or not at all."""
        path = self.folder / name
        with lock(self.folder / f".{name}.lock", wait=True):
            if not path.exists():
                descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
                try:
                    with os.fdopen(descriptor, "wb") as file:
                        write(file)
                    Path(temporary).replace(path)
                finally:
                    Path(temporary).unlink(missing_ok=True)
        return path


def _key(pieces: Pieces, options: list | dict) -> str:
    text = json.dumps([pieces.fingerprint(), options], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _watched(pieces: Pieces, what: str) -> Iterator[str]:
    """The pieces, with a progress bar on a terminal."""
    with tqdm(desc=f"{what} {Path(pieces.path).name}", unit=" characters", unit_scale=True, disable=None) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
