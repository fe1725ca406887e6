"""What a model costs, counted on the meta device: no memory, no data, the same on every machine.

Tensors there have shapes and no values. What needs values, such as a branch on them or an operator that torch does not
have for this device, leaves the operations and the memory of a model unknown; it trains all the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from seqzoo.configuration.budget import UnknownCost
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.state import flatten
from seqzoo.network.model import Model

STEPS = 16
"""Of the batch that is counted; backbones that leave out steps divide it."""


class Cost(NamedTuple):
    """parameters: numbers that are trained.
    weights: numbers that are kept, trained or fixed; more than the parameters for a reservoir.
    flops_per_token: of a forward pass over STEPS tokens, in matrix products; a multiplication and its addition are two.
        Where pictures are read, tokens are those that are written. None: unknown.
    state_bytes: of the backbone's state of one sequence, in float32.
    training_bytes: weights, gradients, two moments, and what a batch keeps for the backward pass, in float32. None:
        unknown.
    unknown: why some are, as a clause; empty where all are known.
    """

    parameters: int
    weights: int
    flops_per_token: float | None
    state_bytes: int
    training_bytes: int | None
    unknown: str = ""


def cost_of(model: Model, rows: int, steps: int, numbers: bool) -> Cost:
    """The cost of a model on the meta device, whose training reads batches of rows x steps ids, or features where
    `numbers` is True.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    state_bytes = sum(part.numel() * part.element_size() for part in flatten(model.backbone.initial_state(1)))
    flops, training_bytes, unknown = None, None, ""
    try:
        flops = count_flops(model, numbers)
        training_bytes = 4 * 4 * parameters + _saved_bytes(model, rows, steps, numbers)
    except UnknownCost as error:
        unknown = str(error)
    return Cost(parameters, count_weights(model), flops, state_bytes, training_bytes, unknown)


def memory_to_train(cost: Cost) -> str:
    """An estimate, rounded: "about 12 MiB"."""
    if cost.training_bytes is None:
        return "unknown"
    mebibytes = cost.training_bytes / 2**20
    return f"about {mebibytes:,.0f} MiB" if mebibytes >= 1 else "less than 1 MiB"


def count_weights(model: nn.Module) -> int:
    """Numbers that are saved, trained or fixed; tables that follow from options are none."""
    saved = model.state_dict().keys()
    fixed = [buffer for name, buffer in model.named_buffers() if name in saved]
    return sum(tensor.numel() for tensor in (*model.parameters(), *fixed))


def count_flops(model: Model, numbers: bool) -> float:
    """FLOPs per token of a forward pass, in matrix products. Raises UnknownCost."""
    batch = _batch(model, 1, STEPS, numbers)
    with torch.no_grad(), _Counter() as counter:
        scores, _ = model(batch)
        model.task.loss(scores, batch)  # a head may do its work there
    return counter.flops / STEPS


class _Counter(TorchDispatchMode):
    """Counts the FLOPs of matrix products.

    The steps of a cell are alike, and torch takes a third of a millisecond for a shape on the meta device: what an
    operation gave for inputs of some shapes is kept for the next time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self._known: dict[Any, Callable[[Any], Tensor]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        key = (function, _shapes(args), _shapes(list(kwargs.items())))
        make = self._known.get(key)
        if make is not None:
            out = make(args)
        else:
            out = _run(function, args, kwargs)
            if (again := _again(out, args, key)) is not None:
                self._known[key] = again
        if (of := flop_registry.get(function.overloadpacket)) is not None:
            self.flops += of(*args, **kwargs, out_val=out)
        return out


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    """What an operator gives. Raises UnknownCost where it would need values that tensors on the meta device lack."""
    reads_value = function is torch.ops.aten._local_scalar_dense.default
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        if not (reads_value or isinstance(error, NotImplementedError)):
            raise
        what = "a tensor's value is read" if reads_value else f"torch cannot run {function} without values"
        raise UnknownCost([what]) from error


def _shapes(value: Any) -> Any:
    """What an argument says of the shape of a result, as a key."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (list, tuple)):
        return tuple(_shapes(part) for part in value)
    return type(value), value  # 1 and 1.0 make other types


def _again(out: Any, args: Any, key: Any) -> Callable[[Any], Tensor] | None:
    """How a result is had without the operation: it is the first argument, or memory of its own; None if neither."""
    if not isinstance(out, Tensor) or _shapes(args) != key[1]:
        return None
    if out is args[0]:
        return lambda args: args[0]
    given = {part.untyped_storage()._cdata for part in tree_leaves(args) if isinstance(part, Tensor)}
    if out.untyped_storage()._cdata in given:
        return None
    return functools.partial(_empty, out.shape, out.stride(), out.dtype, out.device)


def _empty(size: torch.Size, stride: tuple[int, ...], dtype: torch.dtype, device: torch.device, _: Any) -> Tensor:
    return torch.empty_strided(size, stride, dtype=dtype, device=device)


def _batch(model: Model, rows: int, steps: int, numbers: bool) -> Batch:
    with torch.device("meta"):
        return model.task.example_batch(rows, steps, numbers)


def _saved_bytes(model: Model, rows: int, steps: int, numbers: bool) -> int:
    """What the backward pass of a batch keeps, scaled up from a small one."""
    # a view shares its storage: each counts once, and weights not at all
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    small_rows, small_steps = 2, 8
    batch = _batch(model, small_rows, small_steps, numbers)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), _Counter():
        scores, _ = model(batch)
        model.task.loss(scores, batch)
    return sum(kept.values()) * rows * steps // (small_rows * small_steps)
