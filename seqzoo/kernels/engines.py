"""Which way a cell goes over a sequence: the engines, and the choice among them.

reference: one step after the other, in Python. fused: the step compiled into a loop of its own (`kernels/fused`), for a
CPU, or, where Triton is installed, for CUDA. torch: a kernel of torch's own, or a scan in parallel, where the cell has
one. All give the same numbers; auto takes what `scripts/benchmark.py` measured as the fastest on a CPU. On a GPU, where
nothing was measured yet, it takes what torch has, which is cuDNN or a scan in parallel, and compiles all other cells.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from seqzoo.contracts import Cell, State
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused.plan import plan


@dataclass(frozen=True)
class Execution:
    """What every cell has besides its own options and changes no number.

    engine: the way over a sequence; auto: the fastest.
    """

    engine: Literal["auto", "reference", "fused", "torch"] = "auto"


def scan(cell: Cell, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """As `Cell.scan`. Raises ValueError where the engine that the cell is set to cannot run it."""
    if cell.engine == "reference":
        return cell.unroll(x, state, lengths)
    if cell.engine == "fused":
        try:
            if not x.is_meta:
                return fused_scan(cell, x, state, lengths)
            # a model that is only counted runs nothing; whether its step can be compiled is told all the same
            plan(cell, cell.project(x).shape[-1], state)
            return cell.unroll(x, state, lengths)
        except NotCompilable as error:
            raise ValueError(f"engine is fused, which {type(cell).__name__} cannot be here: {error}") from error
    if cell.engine == "torch":
        found = cell.torch_scan(x, state, lengths)
        if found is None:
            raise ValueError(f"engine is torch, but torch has no way of its own for {type(cell).__name__}")
        return found
    device = x.device.type
    torch_first = device in cell.torch_first and (device == "cuda" or lengths is None)
    compiled = functools.partial(_compiled, cell)
    for way in (cell.torch_scan, compiled) if torch_first else (compiled, cell.torch_scan):
        found = way(x, state, lengths)
        if found is not None:
            return found
    return cell.unroll(x, state, lengths)


def _compiled(cell: Cell, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
    if x.shape[1] == 1:  # a single step is over before compiled code is found
        return None
    try:
        return fused_scan(cell, x, state, lengths)
    except NotCompilable:
        return None
