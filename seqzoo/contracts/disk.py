"""Safe reading and writing of files: regular files only, no links followed, writes are atomic.

Every function raises OSError with a text that says what is wrong with the file.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PART = ".part"
"""Suffix of a file or folder while it is being written; one is left over only when a process is killed."""
NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_to_read(path: Path, limit: int) -> BinaryIO:
    """Open a regular file of up to `limit` bytes."""
    file = os.fdopen(_open(path, os.O_RDONLY), "rb")
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        file.close()
        raise _refusal(errno.EFBIG, f"it has {size:,} bytes, more than the {limit:,} that such a file may have", path)
    return file


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of up to `limit` bytes."""
    with open_to_read(path, limit) as file:
        return file.read(limit)


def open_to_update(path: Path) -> BinaryIO:
    """Open a regular file to read and write; create it if needed."""
    return os.fdopen(_open(path, os.O_RDWR | os.O_CREAT), "r+b")


def append(path: Path, text: str) -> None:
    """Append text to a file; create it if needed."""
    with os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(text.encode())


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file atomically: an existing file is kept until the new one is complete.

    Args:
        path: the file; its folder is created if needed.
        write: called with a binary file to write to, whose `name` is its temporary path.
    """
    refuse_irregular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}{PART}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS, 0o666)
    except OSError as error:
        error.filename = str(path)  # the message must not name the temporary file
        raise
    os.close(descriptor)
    try:
        with temporary.open("r+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """`write_whole` for bytes."""
    write_whole(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """`write_whole` for text."""
    write_bytes(path, text.encode())


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A context with a temporary folder, whose files are those of `folder` once all of them have been written.

    Args:
        folder: which does not exist, or is empty. If the context ends by an error, it stays as it is.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=PART, dir=folder.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        yield new
        if folder.exists():  # it may be the current folder of a shell, which would lose it
            for path in new.iterdir():
                path.rename(folder / path.name)
        else:
            new.rename(folder)
        _sync_folder(folder)
        _sync_folder(folder.parent)


def _open(path: Path, flags: int) -> int:
    refuse_irregular(path)  # before it is opened: opening a device can have effects
    descriptor = os.open(path, flags | NOT_THROUGH_LINKS, 0o666)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _refusal(errno.EINVAL, "it is not a regular file", path)
    if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:  # the other name may be anywhere
        os.close(descriptor)
        raise _refusal(errno.EMLINK, "it has a second name (a hard link), whose content would change, too", path)
    return descriptor


def refuse_irregular(path: Path) -> None:
    """Raises OSError if the path exists and is not a regular file."""
    refuse_link(path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise _refusal(errno.EISDIR, "it is a folder, not a file", path)
    if not stat.S_ISREG(mode):
        raise _refusal(errno.EINVAL, "it is not a regular file", path)


def refuse_link(path: Path) -> None:
    """Raises OSError if the path is a symbolic link."""
    if path.is_symlink():
        raise _refusal(errno.ELOOP, "it is a link, which seqzoo does not follow", path)


def _refusal(number: int, reason: str, path: Path) -> OSError:
    return OSError(number, reason, str(path))


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a loss of power."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
