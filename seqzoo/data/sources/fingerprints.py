"""Which files a run read, and whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from seqzoo.contracts.errors import CheckpointError
from seqzoo.contracts.parts import DataModule, ReadFiles

LARGE = 100_000_000
"""Bytes. Of a larger file, the fingerprint is of SAMPLES pieces, so that it costs little beside reading it."""
SAMPLES = 64
PIECE = 2**20


class FileRecord(NamedTuple):
    """Files as a run read them.

    name: in the configuration; path: absolute; fingerprint: of their content.
    """

    name: str
    path: str
    fingerprint: str


def records(data: DataModule) -> list[dict[str, str]]:
    """What a data module has read, as plain data for the configuration of a run."""
    return [FileRecord(name, read.path, fingerprint(read))._asdict() for name, read in data.files.items()]


def saved_records(saved: Sequence[Mapping[str, Any]]) -> list[FileRecord]:
    """The records that the configuration of a run holds; runs of older versions have none.

    Raises CheckpointError where they are damaged.
    """
    try:
        found = [FileRecord(**record) for record in saved]
        if all(isinstance(text, str) for record in found for text in record):
            return found
    except TypeError:
        pass
    raise CheckpointError(
        "data_files in the configuration of the run is damaged: give name, path and fingerprint of each"
    )


def changed(data: DataModule, saved: Sequence[FileRecord]) -> list[str]:
    """The paths of what a data module has read that is not what the run read when it started."""
    known = {record.name: record.fingerprint for record in saved}
    return [read.path for name, read in data.files.items() if name in known and fingerprint(read) != known[name]]


def fingerprint(read: ReadFiles) -> str:
    """Equal for equal content, wherever it lies: of one file its digest, of several that of their names and digests."""
    if len(read.files) == 1:
        return _digest(read.files[0])
    folder = read.path if Path(read.path).is_dir() else str(Path(read.path).parent)
    lines = sorted(f"{_digest(file)} {os.path.relpath(file, folder)}" for file in read.files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _digest(path: str) -> str:
    found = Path(path).stat()
    of = whole_digest if found.st_size <= LARGE else _sampled_digest
    return of(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=100_000)
def whole_digest(path: str, changed: int, size: int) -> str:
    """Of the content of a file; when it was changed, and its size, only keep it from being read twice."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while data := file.read(PIECE):
            digest.update(data)
    return digest.hexdigest()


@lru_cache
def _sampled_digest(path: str, changed: int, size: int) -> str:
    """Of the size and of evenly spaced pieces, the first and the last one among them."""
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        for number in range(SAMPLES):
            file.seek(number * (size - PIECE) // (SAMPLES - 1))
            digest.update(file.read(PIECE))
    return digest.hexdigest()
