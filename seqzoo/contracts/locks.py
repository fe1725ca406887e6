"""What only one process may have at a time: locks on files, which end with the process that holds them."""

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
        path: the file of the lock, which then names this process.
        wait: until no other process has it.

    Yields:
        Whether this process has it: False while another one does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk.open_to_update(path) as file:
        if sys.platform != "win32":  # there nobody keeps two processes apart
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            except OSError:  # a file system without locks keeps nobody apart
                pass
        file.truncate()
        file.write(f"process {os.getpid()} on {platform.node()}".encode())
        file.flush()
        yield True


def holder(path: Path) -> str:
    """Who has a lock, for a sentence: "process 4711 on a machine"."""
    try:
        return disk.read_bytes(path, 1000).decode(errors="replace") or "another process"
    except OSError:
        return "another process"


@contextmanager
def least_used(names: Sequence[str], folder: Path) -> Iterator[str]:
    """The first name that the fewest hold; each of as many holders as there are names has one of its own."""
    for place in itertools.count():
        for name in names:
            with lock(folder / f"{name}-{place}.lock") as free:
                if free:
                    yield name
                    return
