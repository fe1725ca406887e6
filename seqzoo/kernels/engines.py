"""Which way a cell goes over a sequence: the engines, and the choice among them.

reference: one step after the other, in Python. fused: the step compiled into a loop of its own (`kernels/fused`), for a
CPU, or, where Triton is installed, for CUDA. torch: a kernel of torch's own, or a scan in parallel, where the cell has
one. All give the same numbers; auto takes what `scripts/benchmark.py` measured as the fastest on a CPU. On a GPU, where
nothing was measured yet, it takes what torch has, which is cuDNN or a scan in parallel, and compiles all other cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.utils import parametrize

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.transforms import traced, transformed
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused.plan import plan
from seqzoo.kernels.stepping import Stepping


@dataclass(frozen=True)
class Execution:
    """What every cell has besides its own options and changes no number.

    engine: the way over a sequence; auto: the fastest.
    """

    engine: Literal["auto", "reference", "fused", "torch"] = "auto"


def scan(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """As `Cell.scan`, of inputs that have been checked. Where torch traces or transforms the computation, an engine
    that knows nothing of that gives way to the reference. Raises ValueError where the engine that the cell is set to
    cannot run it.
    """
    computed = [module for module in cell.modules() if "parametrizations" in module._modules]
    if not computed:
        return _scan(cell, x, state, lengths)
    with parametrize.cached():  # one value for all steps, also of what changes whenever it is asked for
        for module in computed:
            for name in module.parametrizations:  # type: ignore[union-attr]
                getattr(module, name)
        return _scan(cell, x, state, lengths)


def _scan(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    if cell.engine == "reference" or traced():
        return cell.unroll(x, state, lengths)
    if cell.engine == "fused":
        if transformed() and not x.is_meta:
            return cell.unroll(x, state, lengths)
        try:
            if not x.is_meta:
                return fused_scan(cell, x, state, lengths)
            # a model that is only counted runs nothing; whether its step can be compiled is told all the same
            plan(cell, cell.project(x).shape[-1], state)
            return cell.unroll(x, state, lengths)
        except NotCompilable as error:
            raise ValueError(f"engine is fused, which {type(cell).__name__} cannot be here: {error}") from error
    if cell.engine == "torch":
        result = _by_torch(cell, x, state, lengths)
        if result is None and (x.is_meta or not transformed()):
            raise ValueError(f"engine is torch, but torch has no way of its own for {type(cell).__name__}")
        return result or cell.unroll(x, state, lengths)
    device = x.device.type
    torch_first = device in cell.torch_first and (device == "cuda" or lengths is None)
    for way in (_by_torch, _compiled) if torch_first else (_compiled, _by_torch):
        result = way(cell, x, state, lengths)
        if result is not None:
            return result
    return cell.unroll(x, state, lengths)


def _by_torch(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
    return cell.torch_scan(zero_padding(x, lengths), state, lengths)


def _compiled(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
    if x.shape[1] == 1:  # a single step is over before compiled code is found
        return None
    try:
        return fused_scan(cell, x, state, lengths)
    except NotCompilable:
        return None
