"""What only one process may have at a time: locks on files, which end with the process that holds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody keeps two processes apart
    fcntl = None


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Whether this process has it, until the end of the context: False while another one does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
        yield True


@contextmanager
def least_used(names: Sequence[str], folder: Path) -> Iterator[str]:
    """The first name that the fewest hold; each of as many holders as there are names has one of its own."""
    for place in itertools.count():
        for name in names:
            with lock(folder / f"{name}-{place}.lock") as free:
                if free:
                    yield name
                    return
