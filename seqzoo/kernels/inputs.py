"""What a cell is given, checked before compiled code or a kernel that looks at no shape reads beyond it."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import autocast_dtype, jit_traced, traced
from seqzoo.kernels.stepping import Stepping

SEQUENCES = "(B, T, {}), T at least 1"


def check(cell: Stepping, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[State, Tensor | None]:
    """The state that sequences (B, T, I), or one step (B, I), start from, and lengths as int64. Raises ValueError."""
    if not isinstance(x, Tensor) or x.dim() not in (2, 3):
        raise misshaped(cell, x)
    if not jit_traced() and (x.shape[-1] != cell.input_size or x.shape[1] == 0):
        raise misshaped(cell, x, "(B, {})" if x.dim() == 2 else SEQUENCES)
    state = _checked_state(cell, x, state)
    if lengths is None:
        return state, None
    if isinstance(lengths, Steps):
        raise ValueError(f"a call of {type(cell).__name__} takes lengths alone: hand Steps to its `scan`")
    if x.dim() == 2:
        raise ValueError(f"lengths are given with an input {tuple(x.shape)}: only sequences (B, T, I) have lengths")
    return state, checked_lengths(lengths, x.shape, x.device)


def misshaped(cell: Stepping, x: Any, wanted: str = SEQUENCES) -> ValueError:
    """The error that says what the cell reads."""
    found = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}, which is not a tensor"
    return ValueError(f"{type(cell).__name__} reads {wanted.format(cell.input_size)}: the input is {found}")


def _checked_state(cell: Stepping, x: Tensor, state: State | None) -> State:
    """`state`, or the first one. Raises ValueError."""
    first = cell.initial_state(x.shape[0])
    if jit_traced():
        return first if state is None else state
    if state is not None:
        state = checked_state(state, first)
    if not traced():
        _check_types(cell, x, state, first)
    return first if state is None else state


def checked_state(state: Any, first: State) -> State:
    """A state as nested tuples. Raises ValueError where it has not the shapes of the first one."""
    state = tuple(state) if isinstance(state, (list, tuple)) else (state,)
    if _shapes(state) != _shapes(first):
        raise ValueError(f"the state has shapes {_shapes(state)!s:.110}: it must have {_shapes(first)!s:.110}")
    return state


def _check_types(cell: Stepping, x: Tensor, state: State | None, first: State) -> None:
    """Raises ValueError where types or devices are mixed, in ways that autocast does not mend."""
    weight: Tensor | None = next(chain(cell.parameters(), cell.buffers()), None)
    if weight is not None and weight.device != x.device:
        raise ValueError(f"the input is on {x.device} and the cell on {weight.device}: move one to the other")
    mixed = autocast_dtype(x.device.type) is not None
    if weight is not None and not (weight.dtype == x.dtype or (mixed and x.is_floating_point())):
        raise ValueError(f"the input is {x.dtype} and the cell's weights are {weight.dtype}: convert one to the other")
    for part, wanted in zip(_parts(state or ()), _parts(first), strict=False):
        if part.device != x.device:
            raise ValueError(f"the state is on {part.device} and the input on {x.device}: move one to the other")
        if part.dtype not in (wanted.dtype, x.dtype) and not (mixed and part.is_floating_point()):
            raise ValueError(f"the state is {part.dtype}: it must be {wanted.dtype}")


def _parts(state: State) -> list[Tensor]:
    return [tensor for part in state for tensor in (_parts(part) if isinstance(part, tuple) else [part])]


def _shapes(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(_shapes(part) for part in state)
    return tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
