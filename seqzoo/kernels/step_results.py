"""Checked calls of the methods of a cell, which may be user-defined.

Compiled code does not check shapes before it reads memory. Steps are checked when they are compiled. Where a sequence
is run step by step, the shapes of each step are checked and, as this takes longer, the types of the first one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import PartError
from seqzoo.contracts.own_parts import described, place_of, wrong_result
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.state import flatten
from seqzoo.contracts.transforms import jit_traced
from seqzoo.kernels.stepping import Stepping

DOUBLE = (torch.float64, torch.complex128)


def first_state(part: Stepping | Backbone, rows: int) -> State:
    """The `initial_state` of a cell or backbone. Raises PartError if it is not a tuple of tensors with that number of
    rows.
    """
    state = part.initial_state(rows)
    if not isinstance(state, tuple) or not _has_rows(state, rows):
        raise wrong_result(part, "initial_state", state, f"a tuple of tensors whose first dimension is {rows} here")
    return state


def project(cell: Stepping, x: Tensor) -> Tensor:
    """`Cell.project`. Raises PartError if the result does not have the rows and steps of x."""
    projected = cell.project(x)
    rows = x.shape[:-1]
    if not isinstance(projected, Tensor) or not (jit_traced() or projected.shape[: len(rows)] == rows):
        raise wrong_result(cell, "project", projected, f"a tensor of shape ({', '.join(map(str, rows))}, P) here")
    return projected


def step(cell: Stepping, p: Tensor, state: State, with_types: bool = True) -> tuple[Tensor, State]:
    """`Cell.step`. Raises PartError if the result is not an output and a state of the same form as before and,
    `with_types`, of the same types.
    """
    result: Any = cell.step(p, state)
    if jit_traced():
        return result
    is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor)
    if not is_pair or result[0].shape != (p.shape[0], cell.output_size) or not _alike(result[1], state):
        expected = f"(Tensor ({p.shape[0]}, {cell.output_size}), {described(state)})"
        raise wrong_result(cell, "step", result, f"{expected}, an output and a state like that of initial_state")
    if with_types:
        _check_types(cell, p, state, result)
    return result


def compose(cell: Stepping, p: Tensor, children: Any) -> tuple[Tensor, State]:
    """`Cell.compose`. Raises PartError if the result is not an output and a state of each node."""
    result: Any = cell.compose(p, children)
    rows = children.count
    is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor)
    if not is_pair or result[0].shape != (rows, cell.output_size) or not _has_rows(result[1], rows):
        expected = f"(Tensor ({rows}, {cell.output_size}), a state with {rows} rows)"
        raise wrong_result(cell, "compose", result, expected)
    return result


def _check_types(cell: Stepping, p: Tensor, state: State, result: tuple[Tensor, State]) -> None:
    """Raise PartError where an output is not of a floating-point type, a state of another kind of type than before, or
    either in double precision where p and state are not.
    """
    before = flatten(state)
    double = any(tensor.dtype in DOUBLE for tensor in (p, *before))
    for what, tensor, kind in [
        ("an output", result[0], torch.float32),
        *(("a state", part, like.dtype) for part, like in zip(flatten(result[1]), before, strict=True)),
    ]:
        same = (tensor.is_floating_point(), tensor.is_complex()) == (kind.is_floating_point, kind.is_complex)
        if not same or (tensor.dtype in DOUBLE and not double):
            place = place_of(cell, "step")
            raise PartError(
                f"{place} returned {what} of {tensor.dtype}: it must be of {kind}, or of the type of its input"
            )


def _has_rows(part: Any, rows: int) -> bool:
    if isinstance(part, tuple):
        return all(_has_rows(inner, rows) for inner in part)
    return isinstance(part, Tensor) and part.dim() > 0 and (jit_traced() or part.shape[0] == rows)


def _alike(part: Any, before: Any) -> bool:
    if isinstance(before, tuple):
        return isinstance(part, tuple) and len(part) == len(before) and all(map(_alike, part, before))
    return isinstance(part, Tensor) and part.shape == before.shape
