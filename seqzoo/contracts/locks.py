"""Locks between processes, held on files; the operating system releases them when a process ends."""

from __future__ import annotations

import itertools
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seqzoo.contracts import disk

if sys.platform != "win32":
    import fcntl


@contextmanager
def lock(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock until the end of the context.

    Args:
        path: the lock file; the process that holds the lock writes its name there.
        wait: wait until the lock is free.

    Yields:
        True if this process holds the lock, False if another one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk.open_to_update(path) as file:
        if sys.platform != "win32":  # no locking on Windows
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError:  # a file system without locks: go on without
                pass
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}".encode())
        file.flush()
        yield True


def holder(path: Path) -> str:
    """The process that holds a lock, for messages: "process 4711 on a machine"."""
    try:
        return disk.read_bytes(path, 1000).decode(errors="replace") or "another process"
    except OSError:
        return "another process"


@contextmanager
def least_used(names: Sequence[str], folder: Path) -> Iterator[str]:
    """Hold the name with the fewest holders, the first one among equals; N processes share N names one each."""
    for place in itertools.count():
        for name in names:
            with lock(folder / f"{name}-{place}.lock") as free:
                if free:
                    yield name
                    return
