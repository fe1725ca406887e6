"""Checks of arguments, with the errors of torch's modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from seqzoo.contracts.transforms import jit_traced
from seqzoo.network.backbones.stack import MAX_LAYERS

RNNState = Tensor | tuple[Tensor, ...]
"""The state of all layers: (num_layers * directions, B, H), or a tuple of such tensors for cells that keep several."""


def check_arguments(sizes: Mapping[str, Any], switches: Mapping[str, Any], dropout: Any) -> None:
    """Raises TypeError and ValueError where torch does."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{name} is {size!r:.60}: it must be an integer")
        least = 0 if name == "proj_size" else 1
        if size < least:
            raise ValueError(f"{name} is {size}: it must be at least {least}")
    if sizes["num_layers"] > MAX_LAYERS:
        raise ValueError(f"num_layers is {sizes['num_layers']:,}: it must be at most {MAX_LAYERS:,}")
    if sizes["proj_size"] >= sizes["hidden_size"]:
        raise ValueError(f"proj_size is {sizes['proj_size']}: it must be below hidden_size, {sizes['hidden_size']}")
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise TypeError(f"{name} is {switch!r:.60}: it must be True or False")
    check_dropout(dropout)


def check_dtype(dtype: Any) -> None:
    """Raises TypeError if it is not a type of tensors, and RuntimeError, as torch, if such tensors have no gradient."""
    if dtype is None:
        return
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is {dtype!r:.60}: it must be a torch.dtype")
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"dtype is {dtype}: weights are floating-point or complex numbers")


def refuse_projection(proj_size: Any) -> None:
    """Raises ValueError if a projection is given."""
    if proj_size is not None:
        raise ValueError(f"proj_size is {proj_size!r:.60}: only LSTM has a projection, leave it out")


def check_dropout(dropout: Any) -> None:
    """Raises ValueError if it is not a probability."""
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout is {dropout!r:.60}: it is a probability, 0 <= dropout <= 1")


def as_tensors(state: Any) -> RNNState | None:
    """A state as tensors. Raises TypeError if it is something else."""
    parts = (state,) if isinstance(state, Tensor) else state
    if parts is None:
        return None
    if isinstance(parts, (tuple, list)) and parts and all(isinstance(part, Tensor) for part in parts):
        for part in parts:
            check_dense(part, "the state")
        return state if isinstance(state, Tensor) else tuple(parts)
    kind = type(state).__name__
    if isinstance(state, (tuple, list)):
        kind = f"{kind} of {', '.join(type(part).__name__ for part in state) or 'nothing'}"
    raise TypeError(f"the state is a {kind}: it must be a tensor, or a tuple of tensors")


def check_dense(tensor: Tensor, name: str) -> None:
    """Raises ValueError for a tensor that is not stored as a whole."""
    if tensor.is_nested:
        raise ValueError(
            f"{name} is a nested tensor: give a padded one, as of torch.nested.to_padded_tensor, and lengths"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"{name} is a tensor of layout {tensor.layout}: make it dense by .to_dense()")


def check_resets(resets: Any, x: Tensor) -> None:
    """Raises TypeError or RuntimeError where resets are not a truth value for each step."""
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        kind = resets.dtype if isinstance(resets, Tensor) else f"a {type(resets).__name__}"
        raise TypeError(f"resets are {kind}: they must be a tensor of torch.bool")
    check_dense(resets, "resets")
    if not jit_traced() and resets.shape != x.shape[:-1]:
        raise RuntimeError(f"resets are {tuple(resets.shape)}: they must be {tuple(x.shape[:-1])}, one for each step")


def as_lengths(lengths: Any) -> Tensor:
    """Lengths as a tensor. Raises ValueError if they are not numbers."""
    if isinstance(lengths, Tensor):
        check_dense(lengths, "lengths")
        return lengths
    try:
        return torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"lengths are {lengths!r:.60}: they must be integers, one per row") from error
