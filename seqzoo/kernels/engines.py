"""Which way a cell goes over a sequence: the engines, and the choice among them.

reference: one step after the other, in Python. fused: the step compiled into a loop of its own (`kernels/fused`), on a
CPU. torch: a kernel of torch's own, or a scan in parallel, where the cell has one. All give the same numbers; auto
takes what `scripts/benchmark.py` measured as the fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from seqzoo.contracts import Cell, State
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused.derivative import reverse
from seqzoo.kernels.fused.tracing import trace
from seqzoo.state import flatten


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
            width = cell.project(x).shape[-1]
            reverse(trace(cell, width, state), width, [part.shape[-1] for part in flatten(state)])
            return cell.unroll(x, state, lengths)
        except NotCompilable as error:
            raise ValueError(f"engine is fused, which {type(cell).__name__} cannot be here: {error}") from error
    if cell.engine == "torch":
        found = cell.torch_scan(x, state, lengths)
        if found is None:
            raise ValueError(f"engine is torch, but torch has no way of its own for {type(cell).__name__}")
        return found
    found = cell.torch_scan(x, state, lengths) if cell.torch_first and lengths is None else None
    # a single step is over before compiled code is found
    if found is None and x.device.type == "cpu" and x.shape[1] > 1:
        try:
            return fused_scan(cell, x, state, lengths)
        except NotCompilable:
            pass
    if found is None:
        found = cell.torch_scan(x, state, lengths)
    return cell.unroll(x, state, lengths) if found is None else found
