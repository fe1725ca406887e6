"""Checks of the inputs of a cell, because compiled code and kernels do not check shapes before they read memory."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths
from seqzoo.contracts.state import flatten
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import autocast_dtype, jit_traced, traced
from seqzoo.kernels.step_results import first_state
from seqzoo.kernels.stepping import Stepping

SEQUENCES = "(B, T, {}), T at least 1"


def check(cell: Stepping, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[State, Tensor | None]:
    """Check the inputs of a call with sequences (B, T, I) or one step (B, I).

    Returns:
        The state to start from and the lengths as int64.

    Raises:
        ValueError: wrong shapes, types, devices or lengths.
    """
    if not isinstance(x, Tensor) or x.dim() not in (2, 3):
        raise misshaped(cell, x)
    if not jit_traced() and (x.shape[-1] != cell.input_size or x.shape[1] == 0):
        raise misshaped(cell, x, "(B, {})" if x.dim() == 2 else SEQUENCES)
    state = _checked_state(cell, x, state)
    if lengths is None:
        return state, None
    if isinstance(lengths, Steps):
        raise ValueError(f"a call of {type(cell).__name__} takes lengths only: pass Steps to its `scan`")
    if x.dim() == 2:
        raise ValueError(f"lengths are given with an input {tuple(x.shape)}: only sequences (B, T, I) have lengths")
    return state, checked_lengths(lengths, x.shape, x.device)


def misshaped(cell: Stepping, x: Any, expected: str = SEQUENCES) -> ValueError:
    """The error for an input whose shape is not the expected one."""
    actual = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}, which is not a tensor"
    return ValueError(f"{type(cell).__name__} reads {expected.format(cell.input_size)}: the input is {actual}")


def _checked_state(cell: Stepping, x: Tensor, state: State | None) -> State:
    """`state` as tuples, or the initial state. Raises ValueError."""
    first = first_state(cell, x.shape[0])
    if jit_traced():
        return first if state is None else state
    if state is not None:
        state = checked_state(state, first)
    if not traced():
        _check_types(cell, x, state, first)
    return first if state is None else state


def checked_state(state: Any, first: State) -> State:
    """Convert a state to nested tuples.

    Raises:
        ValueError: its shapes are not those of the initial state `first`.
    """
    state = tuple(state) if isinstance(state, (list, tuple)) else (state,)
    if _shapes(state) != _shapes(first):
        raise ValueError(f"the state has shapes {_shapes(state)!s:.110}: it must have {_shapes(first)!s:.110}")
    return state


def _check_types(cell: Stepping, x: Tensor, state: State | None, first: State) -> None:
    """Raises ValueError for mixed devices, or mixed dtypes that autocast does not convert."""
    weight: Tensor | None = next(chain(cell.parameters(), cell.buffers()), None)
    if weight is not None and weight.device != x.device:
        raise ValueError(f"the input is on {x.device} and the cell on {weight.device}: move one to the other")
    autocast = autocast_dtype(x.device.type) is not None
    if weight is not None and not (weight.dtype == x.dtype or (autocast and x.is_floating_point())):
        raise ValueError(f"the input is {x.dtype} and the cell's weights are {weight.dtype}: convert one to the other")
    mistake = "" if state is None else type_mistake(x, state, first)
    if mistake:
        raise ValueError(mistake)


def type_mistake(x: Tensor, state: State, first: State) -> str:
    """A sentence about a state on another device than x or with another dtype than `first`, the initial state; empty:
    there is no mistake.
    """
    autocast = autocast_dtype(x.device.type) is not None
    for part, initial in zip(flatten(state), flatten(first), strict=False):
        if part.device != x.device:
            return f"the state is on {part.device} and the input on {x.device}: move one to the other"
        if part.dtype not in (initial.dtype, x.dtype) and not (autocast and part.is_floating_point()):
            return f"the state is {part.dtype}: it must be {initial.dtype}"
    return ""


def _shapes(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(_shapes(part) for part in state)
    return tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
