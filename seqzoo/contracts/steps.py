"""Lengths and structure of the steps of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from torch import Tensor


class Steps(NamedTuple):
    """Lengths and structure of the steps of a batch, passed to backbones and cells along with x.

    Fields that are None are not given. Backbones and cells reject fields that they do not support (`supported`).

    Args:
        lengths: (B,), number of real steps of each row, from 0 to T; None: all steps are real.
        resets: (B, T), True where the state is reset to the initial state before the step, such as at the first step of
            an episode or a document; no gradient passes there. Values at padded steps are ignored.
        elapsed: (B, T), time since the previous step.
        parents: (B, T), the step of each node's parent, -1 at a root; children come before parents.
        grid: (B, 2), the numbers of rows and columns of a grid for each row of the batch, whose nodes are its steps,
            row by row; or a pair of numbers, if all are equal.
    """

    lengths: Tensor | None = None
    resets: Tensor | None = None
    elapsed: Tensor | None = None
    parents: Tensor | None = None
    grid: Tensor | tuple[int, int] | None = None

    @property
    def structure(self) -> list[str]:
        """The names of the fields that are given, except lengths."""
        return [name for name in MEANINGS if getattr(self, name) is not None]

    @property
    def has_nodes(self) -> bool:
        """Whether the steps are the nodes of trees or grids, and not of sequences."""
        return self.parents is not None or self.grid is not None


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
    """Convert lengths or None to Steps, and check that the reader supports all fields.

    Raises:
        ValueError: `steps` has a field that the reader does not support.
    """
    if steps is None:
        return ALL_REAL
    if not isinstance(steps, Steps):
        return Steps(steps)
    for mistake in unsupported(steps.structure, reader, type(reader).__name__):
        raise ValueError(mistake)
    return steps


def unsupported(structure: Iterable[str], reader: Reader, name: str) -> list[str]:
    """An error message for each of these fields that the reader does not support."""
    return [
        f"{name} does not support `{field}` ({MEANINGS[field]}): choose one that does, or data without it"
        for field in structure
        if field not in reader.supports
    ]
