"""What is known of the steps of a batch besides their content."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from torch import Tensor


class Steps(NamedTuple):
    """Which steps are real, and how they hang together; goes with x to backbones and cells.

    A field that is None says nothing. Whoever is given a field that it does not support refuses it (`supported`).

    lengths: (B,), number of real steps of each row, whole numbers from 0 to T; None: all steps are real.
    resets: (B, T), True where the state starts anew before a step, such as the first of an episode or a document: the
        network goes on there from its initial state, and no gradient passes. Padded steps have no influence.
    elapsed: (B, T), time since the step before.
    parents: (B, T), the step of each node's parent, -1 at a root; children come before parents.
    grid: rows and columns of a grid whose places are the steps, row after row.
    """

    lengths: Tensor | None = None
    resets: Tensor | None = None
    elapsed: Tensor | None = None
    parents: Tensor | None = None
    grid: tuple[int, int] | None = None

    @property
    def structure(self) -> list[str]:
        """The names of the fields that are given, lengths aside."""
        return [name for name in MEANINGS if getattr(self, name) is not None]


ALL_REAL = Steps()
MEANINGS = {
    "resets": "states that start anew inside a row",
    "elapsed": "the time between steps",
    "parents": "the parents of a tree's nodes",
    "grid": "the shape of a grid",
}


class Reader(Protocol):
    """A backbone or a cell. supports: the fields of `Steps` that it reads besides lengths."""

    @property
    def supports(self) -> Collection[str]: ...


def supported(steps: Steps | Tensor | None, reader: Reader) -> Steps:
    """`steps` as Steps; a tensor is lengths. Raises ValueError where they have a field that the reader cannot use."""
    if steps is None:
        return ALL_REAL
    if not isinstance(steps, Steps):
        return Steps(steps)
    for mistake in unsupported(steps.structure, reader, type(reader).__name__):
        raise ValueError(mistake)
    return steps


def unsupported(structure: Iterable[str], reader: Reader, name: str) -> list[str]:
    """A sentence for each of these fields that the reader does not support."""
    return [
        f"{name} does not support `{field}` ({MEANINGS[field]}): choose one that does, or data without it"
        for field in structure
        if field not in reader.supports
    ]
