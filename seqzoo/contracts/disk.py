"""Files in folders that somebody else may have filled: never through a link, regular files alone, whole or not at all.

Every function raises OSError, whose text says what is wrong with the file.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PART = ".part"
"""Ending of a file that is being written; such files stay behind only when a process is killed."""
NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_to_read(path: Path, limit: int) -> BinaryIO:
    """A regular file of up to `limit` bytes."""
    file = os.fdopen(_open(path, os.O_RDONLY), "rb")
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        file.close()
        raise _refusal(errno.EFBIG, f"it has {size:,} bytes, more than the {limit:,} that such a file may have", path)
    return file


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of up to `limit` bytes."""
    with open_to_read(path, limit) as file:
        return file.read(limit)


def open_to_update(path: Path) -> BinaryIO:
    """A regular file to read and change, made where there is none."""
    return os.fdopen(_open(path, os.O_RDWR | os.O_CREAT), "r+b")


def append(path: Path, text: str) -> None:
    """Add text to the end of a file, made where there is none."""
    with os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(text.encode())


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Put a new file in the place of the one that has the name; what that one held stays until the new one is whole.

    Args:
        path: its folder is made where there is none.
        write: called with a binary file to fill, whose `name` is its path until then.
    """
    refuse_others(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}{PART}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS, 0o666)
    except OSError as error:
        error.filename = str(path)  # whoever reads the message knows no other name
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


def write_text(path: Path, text: str) -> None:
    """`write_whole`, of text."""
    write_whole(path, lambda file: file.write(text.encode()))


def _open(path: Path, flags: int) -> int:
    refuse_others(path)  # before it is opened: to open a device may do something
    descriptor = os.open(path, flags | NOT_THROUGH_LINKS, 0o666)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _refusal(errno.EINVAL, "it is not a regular file", path)
    if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:  # the other name may lie anywhere
        os.close(descriptor)
        raise _refusal(errno.EMLINK, "it has a second name (a hard link), under which it would change, too", path)
    return descriptor


def refuse_others(path: Path) -> None:
    """Raises OSError for what is there and is not a regular file."""
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
    """Raises OSError for a symbolic link."""
    if path.is_symlink():
        raise _refusal(errno.ELOOP, "it is a link, which seqzoo does not follow", path)


def _refusal(number: int, reason: str, path: Path) -> OSError:
    return OSError(number, reason, str(path))


def _sync_folder(folder: Path) -> None:
    """The new name, too, must survive a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
