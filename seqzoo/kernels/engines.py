"""The engines that run a cell over a sequence, and the choice among them.

reference: step by step in Python. fused: the step compiled into a loop over time (`kernels/fused`), for CPUs and, with
Triton, for CUDA. torch: torch's own kernel or a parallel scan, for cells that have one. All give the same numbers. auto
takes the engine that `scripts/benchmark.py` measured as the fastest on a CPU. On a GPU, where nothing was measured yet,
it prefers torch (cuDNN or a parallel scan) and compiles all other cells.
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
    """Options of every cell that do not change its results.

    Args:
        engine: how the cell is run over a sequence; auto: the fastest engine.
    """

    engine: Literal["auto", "reference", "fused", "torch"] = "auto"


def scan(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """`Cell.scan` for checked inputs. Where torch traces or transforms the computation, engines that do not support it
    fall back to the reference.

    Raises:
        ValueError: the engine that was chosen for the cell cannot run it.
    """
    parametrized = [module for module in cell.modules() if "parametrizations" in module._modules]
    if not parametrized:
        return _scan(cell, x, state, lengths)
    with parametrize.cached():  # one value for all steps, also if every access computes another one
        for module in parametrized:
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
            # on the meta device nothing is computed, but a step that cannot be compiled is still reported
            plan(cell, cell.project(x).shape[-1], state)
            return cell.unroll(x, state, lengths)
        except NotCompilable as error:
            raise ValueError(f"engine=fused cannot run {type(cell).__name__} here: {error}") from error
    if cell.engine == "torch":
        result = _by_torch(cell, x, state, lengths)
        if result is None and (x.is_meta or not transformed()):
            raise ValueError(f"engine=torch cannot run {type(cell).__name__}: it has no torch kernel or parallel scan")
        return result or cell.unroll(x, state, lengths)
    device = x.device.type
    torch_first = device in cell.torch_first and (device == "cuda" or lengths is None)
    for engine in (_by_torch, _compiled) if torch_first else (_compiled, _by_torch):
        result = engine(cell, x, state, lengths)
        if result is not None:
            return result
    return cell.unroll(x, state, lengths)


def _by_torch(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
    return cell.torch_scan(zero_padding(x, lengths), state, lengths)


def _compiled(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
    if x.shape[1] == 1:  # looking up compiled code takes longer than a single step
        return None
    try:
        return fused_scan(cell, x, state, lengths)
    except NotCompilable:
        return None
