"""Fingerprints of the files that a run read, to tell whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from seqzoo.contracts.data_module import DataModule, ReadFiles
from seqzoo.contracts.errors import CheckpointError

LARGE = 100_000_000
"""Bytes above which a fingerprint is computed from SAMPLES pieces of the file alone."""
SAMPLES = 64
PIECE = 2**20


class FileRecord(NamedTuple):
    """Files as a run read them.

    Attributes:
        name: in the configuration.
        path: absolute.
        fingerprint: of their content.
    """

    name: str
    path: str
    fingerprint: str


def records(data: DataModule) -> list[dict[str, str]]:
    """The records of what a data module has read, as plain data for the configuration of a run."""
    return [FileRecord(name, read.path, fingerprint(read))._asdict() for name, read in data.files.items()]


def saved_records(saved: Sequence[Mapping[str, Any]]) -> list[FileRecord]:
    """The records in the configuration of a run; none in runs of older versions.

    Raises:
        CheckpointError: they are damaged.
    """
    try:
        file_records = [FileRecord(**record) for record in saved]
        if all(isinstance(text, str) for record in file_records for text in record):
            return file_records
    except TypeError:
        pass
    raise CheckpointError(
        "data_files in the configuration of the run is damaged: give name, path and fingerprint of each"
    )


def changed(data: DataModule, saved: Sequence[FileRecord]) -> list[str]:
    """The paths of files that a data module has read and that have changed since the run started."""
    before = {record.name: record.fingerprint for record in saved}
    return [read.path for name, read in data.files.items() if name in before and fingerprint(read) != before[name]]


def fingerprint(read: ReadFiles) -> str:
    """A hash of the content of one file, or of the names and contents of several, wherever they are stored."""
    if len(read.files) == 1:
        return _digest(read.files[0])
    folder = read.path if Path(read.path).is_dir() else str(Path(read.path).parent)
    lines = sorted(f"{_digest(file)} {os.path.relpath(file, folder)}" for file in read.files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _digest(path: str) -> str:
    status = Path(path).stat()
    digest = whole_digest if status.st_size <= LARGE else _sampled_digest
    return digest(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=100_000)
def whole_digest(path: str, changed: int, size: int) -> str:
    """The digest of the content of a file; modification time and size are keys of the cache alone."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while data := file.read(PIECE):
            digest.update(data)
    return digest.hexdigest()


@lru_cache
def _sampled_digest(path: str, changed: int, size: int) -> str:
    """The digest of the size and of evenly spaced pieces, with the first and the last one."""
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        for number in range(SAMPLES):
            file.seek(number * (size - PIECE) // (SAMPLES - 1))
            digest.update(file.read(PIECE))
    return digest.hexdigest()
