"""Functions on states, which are nested tuples of batch-first tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqzoo.contracts.batch import State


def map_state(function: Callable[..., Tensor], *states: State) -> State:
    """Apply `function` to corresponding tensors of states with the same structure."""
    return tuple(
        map_state(function, *parts) if isinstance(parts[0], tuple) else function(*parts)
        for parts in zip(*states, strict=True)
    )


def flatten(state: State) -> list[Tensor]:
    """The tensors of a state, depth first."""
    return [tensor for part in state for tensor in (flatten(part) if isinstance(part, tuple) else [part])]


def unflatten(tensors: list[Tensor], like: State) -> State:
    """The inverse of `flatten`: `tensors` in the structure of `like`."""
    remaining = iter(tensors)
    return map_state(lambda _: next(remaining), like)


def detach(state: State) -> State:
    """Detach a state from the graph, as truncated backpropagation does between two segments of a sequence."""
    return map_state(Tensor.detach, state)


def reorder(state: State, index: Tensor) -> State:
    """Select rows: row i of the result is row index[i] of the state. index: (N,)."""
    return map_state(lambda tensor: tensor.index_select(0, index), state)


def joined(states: Sequence[State]) -> State:
    """The rows of several states as one state."""
    return states[0] if len(states) == 1 else map_state(lambda *parts: torch.cat(parts), *states)


def rows_of(state: State, count: int) -> list[State]:
    """Each of the `count` rows of a state as a state of one row."""
    columns = [tensor.split(1) for tensor in flatten(state)]
    return [unflatten([column[row] for column in columns], state) for row in range(count)]


def where(condition: Tensor, chosen: State, otherwise: State) -> State:
    """Select row by row: `chosen` where condition (B,) is True, else `otherwise`."""
    return map_state(lambda a, b: torch.where(condition.view(-1, *[1] * (a.dim() - 1)), a, b), chosen, otherwise)


def resume(state: State, rows: Tensor, fresh: State) -> State:
    """Row i of the result is row rows[i] of `state`, or row i of `fresh` where rows[i] is -1. rows: (N,)."""
    return where(rows >= 0, reorder(state, rows.clamp(min=0)), fresh)
