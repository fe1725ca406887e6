"""Reading bytes of plain and compressed files (.gz, .xz, .bz2, .zst) and of members of archives (.zip, and .tar with or
without compression), as in `fra-eng.zip::fra.txt`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from seqzoo.contracts.errors import DataError, closest, not_installed

PIECE = 2**22
"""Bytes that are read at once."""

LARGEST_RATIO = 100
UNCHECKED = 2**28
"""A compressed file above UNCHECKED bytes may expand to LARGEST_RATIO times its size: real data compress to about a
tenth, and a file that expands much further was made to fill the memory.
"""


def _open_zstandard(path: str, mode: str) -> Any:
    try:
        import zstandard
    except ImportError:
        raise DataError(f"{path} needs {not_installed('zstandard')}, or decompress it") from None
    return zstandard.open(path, mode)


OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": _open_zstandard,
}
"""The suffixes of compressed files, and what opens them."""

ARCHIVES = (".zip", ".tar", ".tgz", *(f".tar{suffix}" for suffix in OPENERS))
"""The suffixes of archives."""


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """Open a file to be read piece by piece; compressed files and members of archives are decompressed.

    Raises:
        DataError: the file cannot be read or decompressed; also while it is read.
    """
    with ExitStack() as stack:
        with _as_data_errors(path):
            file, packed_size = _opened(path, stack)
        yield io.BufferedReader(_Checked(path, file, packed_size), 2**16)


def read_bytes(path: str) -> bytes:
    """The whole content of a file, see `open_bytes`."""
    with open_bytes(path) as file:
        return b"".join(iter(lambda: file.read(PIECE), b""))


def unpacked_name(path: str) -> str:
    """The name whose suffix tells the format: that of the member of an archive, or the path without the suffix of its
    compression.

    Raises:
        DataError: as `open_bytes`.
    """
    archive, _, member = path.partition("::")
    if not is_archive(archive):
        return archive.removesuffix(_suffix(archive))
    if member:
        return member
    with _as_data_errors(path):
        return _member_of(_archive(archive), archive, member)


def is_archive(path: str) -> bool:
    """Whether a file is an archive, by its name."""
    return path.endswith(ARCHIVES)


def members(archive: str) -> list[str]:
    """The names of the files in an archive, in alphabetical order.

    Raises:
        DataError: it cannot be read.
    """
    with _as_data_errors(archive):
        return sorted(_archive(archive).names())


def _suffix(path: str) -> str:
    """The suffix of a compressed file; empty: it is not compressed."""
    return next((suffix for suffix in OPENERS if path.endswith(suffix)), "")


def _opened(path: str, stack: ExitStack) -> tuple[Any, int | None]:
    """The decompressed file, and its compressed size; None where it is not compressed."""
    archive, _, member = path.partition("::")
    if is_archive(archive):
        opened = _archive(archive)
        file, size = opened.open(_member_of(opened, archive, member))
        return stack.enter_context(file), size
    suffix = _suffix(archive)
    if not suffix:
        return stack.enter_context(Path(archive).open("rb")), None
    return stack.enter_context(OPENERS[suffix](archive, "rb")), Path(archive).stat().st_size


def _member_of(opened: Archive, archive: str, member: str) -> str:
    names = opened.names()
    if not names:
        raise DataError(f"{archive} has no files: give another archive")
    if not member and len(names) == 1:
        return names[0]
    if not member:
        raise DataError(f"{archive} has several files: give one, as in {archive}::{names[-1]}{closest('', names)}")
    if not opened.has(member):
        raise DataError(f"{archive} has no file {member!r}{closest(member, names)}")
    return member


def _archive(path: str) -> Archive:
    """An archive, which stays open for the next member: its contents are listed, or decompressed, only once."""
    status = Path(path).stat()
    return _opened_archive(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _opened_archive(path: str, *state: int) -> Archive:
    return ZipArchive(path) if path.endswith(".zip") else TarArchive(path)


class Archive:
    """An open archive, which is closed when it is no longer in use."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of its files, in their order."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether it has a file of this name."""

    @abstractmethod
    def open(self, name: str) -> tuple[IO[bytes], int]:
        """A file, and the number of bytes that it may take of the archive."""


class ZipArchive(Archive):
    """A zip archive.

    Args:
        path: of the archive.
    """

    def __init__(self, path: str):
        self.archive = zipfile.ZipFile(path)  # closes itself

    def names(self) -> list[str]:
        return [name for name in self.archive.namelist() if not name.endswith("/")]

    def has(self, name: str) -> bool:
        return name in self.archive.NameToInfo

    def open(self, name: str) -> tuple[IO[bytes], int]:
        return self.archive.open(name), self.archive.getinfo(name).compress_size


class TarArchive(Archive):
    """A tar archive, decompressed in a temporary file. Links are left out, and nothing is extracted.

    Args:
        path: of the archive.
    """

    def __init__(self, path: str):
        self.size = Path(path).stat().st_size
        suffix = ".gz" if path.endswith(".tgz") else _suffix(path)
        self.file: IO[bytes]
        if suffix:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __del__)
            with OPENERS[suffix](path, "rb") as packed:
                shutil.copyfileobj(io.BufferedReader(_Checked(path, packed, self.size), PIECE), self.file, PIECE)
            self.file.seek(0)
        else:
            self.file = Path(path).open("rb")  # noqa: SIM115
        try:
            self._list(path)
        except BaseException:
            self.file.close()
            raise

    def _list(self, path: str) -> None:
        self.archive = tarfile.open(fileobj=self.file, mode="r:")  # noqa: SIM115
        self.members = {member.name.removeprefix("./"): member for member in self.archive if member.isfile()}
        # tarfile takes a damaged header for the end, which is at least one block of zeros
        self.file.seek(self.archive.offset)
        end = self.file.read(tarfile.BLOCKSIZE)
        if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
            raise DataError(
                f"{path} ends without the mark of its end after {len(self.members):,} files: is it complete?"
            )

    def names(self) -> list[str]:
        return [*self.members]

    def has(self, name: str) -> bool:
        return name in self.members

    def open(self, name: str) -> tuple[IO[bytes], int]:
        file = self.archive.extractfile(self.members[name])
        assert file is not None, "it is a file"
        return file, self.size

    def __del__(self) -> None:
        if hasattr(self, "file"):  # it could be opened
            self.file.close()


class _Checked(io.RawIOBase):
    """Reads from a file. Errors, and a suspicious ratio of compression, raise DataError."""

    def __init__(self, path: str, file: IO[bytes], packed_size: int | None):
        self.path, self.file = path, file
        self.largest = None if packed_size is None else max(UNCHECKED, LARGEST_RATIO * packed_size)
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _as_data_errors(self.path):
            data = self.file.read(len(buffer))
        self.position += len(data)
        if self.largest is not None and self.position > self.largest:
            raise DataError(
                f"{self.path} expands to more than {self.largest:,} bytes, {LARGEST_RATIO} times its size: "
                "decompress it yourself if that is intended"
            )
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _as_data_errors(path: str) -> Iterator[None]:
    """Raise errors in reading a file as DataError with the reason."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file: give a file in it") from None
    except Exception as error:  # each format of archives has its own exceptions
        reason = (isinstance(error, OSError) and error.strerror) or str(error)[:100] or type(error).__name__
        if "encrypted" in reason:
            raise DataError(f"{path} is encrypted: decompress it with its password first") from None
        raise DataError(f"{path} cannot be read ({reason}): is it complete?") from None
