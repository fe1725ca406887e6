"""The cost of a model, counted on the meta device: without memory or data, and the same on every machine.

Tensors on the meta device have shapes but no values. If a model needs values, for a branch or an operator that is not
implemented there, its FLOPs and memory are unknown; it can be trained all the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from seqzoo.configuration.budget import UnknownCost
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.state import flatten
from seqzoo.network import results
from seqzoo.network.model import Model

STEPS = 16
"""Number of steps of the batch that is counted; divisible by the factors of pyramidal backbones."""


class Cost(NamedTuple):
    """The cost of a model.

    Attributes:
        parameters: number of trained parameters.
        weights: number of stored weights, trained or fixed; more than the parameters for a reservoir.
        flops_per_token: FLOPs of the matrix products in a forward pass over STEPS tokens, two per multiply-add; for
            picture inputs tokens are output tokens. None: unknown.
        state_bytes: size of the backbone's state for one sequence, in float32.
        training_bytes: weights, gradients, two moments, and activations saved for the backward pass, in float32. None:
            unknown.
        unknown: the reason for unknown costs, as a clause; empty: all are known.
    """

    parameters: int
    weights: int
    flops_per_token: float | None
    state_bytes: int
    training_bytes: int | None
    unknown: str = ""


def cost_of(model: Model, rows: int, steps: int, numbers: bool) -> Cost:
    """The cost of a model on the meta device, with training batches of rows x steps ids, or features if `numbers`."""
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
    """The training memory for messages, rounded: "about 12 MiB"."""
    if cost.training_bytes is None:
        return "unknown"
    mebibytes = cost.training_bytes / 2**20
    return f"about {mebibytes:,.0f} MiB" if mebibytes >= 1 else "less than 1 MiB"


def count_weights(model: nn.Module) -> int:
    """The number of weights in the state dict, trained or fixed; other buffers and whole numbers are not counted."""
    saved = model.state_dict().keys()
    buffers = (buffer for name, buffer in model.named_buffers() if name in saved)
    fixed = [buffer for buffer in buffers if buffer.is_floating_point() or buffer.is_complex()]
    return sum(tensor.numel() for tensor in (*model.parameters(), *fixed))


def count_flops(model: Model, numbers: bool) -> float:
    """FLOPs per token of a forward pass, in matrix products. Raises UnknownCost."""
    batch = _batch(model, 1, STEPS, numbers)
    with torch.no_grad(), _Counter() as counter:
        scores, _ = model(batch)
        results.loss_of(model.task, model.task.loss(scores, batch))  # some heads compute their scores there
    return counter.flops / STEPS


MOST_RESULTS = 20_000
"""Number of cached shapes from which on the cache is emptied."""


class _Counter(TorchDispatchMode):
    """Counts the FLOPs of matrix products.

    An operation on the meta device takes a third of a millisecond, and the steps of a cell are alike: the shapes of
    results are cached by the shapes of inputs, for all models.
    """

    results: ClassVar[dict[Any, Callable[[Any], Any]]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        if len(self.results) > MOST_RESULTS:
            self.results.clear()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        key = (function, _shapes(args), _shapes(list(kwargs.items())))
        make = self.results.get(key)
        if make is not None:
            out = make(args)
        else:
            out = _run(function, args, kwargs)
            if (again := _again(out, args, key)) is not None:
                self.results[key] = again
        if (of := flop_registry.get(function.overloadpacket)) is not None:
            self.flops += of(*args, **kwargs, out_val=out)
        return out


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    """Run an operator. Raises UnknownCost if it needs values, which tensors on the meta device do not have."""
    reads_value = function is torch.ops.aten._local_scalar_dense.default
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        if not (reads_value or isinstance(error, NotImplementedError)):
            raise
        what = "a tensor's value is read" if reads_value else f"torch cannot run {function} without values"
        raise UnknownCost([what]) from error


def _shapes(value: Any) -> Any:
    """The properties of an argument that determine the shape of a result, as a key."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, (list, tuple)):
        return tuple(_shapes(part) for part in value)
    return type(value), value  # 1 and 1.0 give different dtypes


def _again(out: Any, args: Any, key: Any) -> Callable[[Any], Any] | None:
    """A function that recreates a result: the first argument, a new tensor or a tuple of these; None for other results,
    such as views of an argument.
    """
    if _shapes(args) != key[1]:  # the operator has resized an argument
        return None
    storages = {part.untyped_storage()._cdata for part in tree_leaves(args) if isinstance(part, Tensor)}
    if not isinstance(out, tuple):
        return _again_one(out, args, storages)
    parts = [_again_one(part, args, storages) for part in out]
    makers = [make for make in parts if make is not None]
    if len(makers) < len(out) or len({part.untyped_storage()._cdata for part in out}) < len(out):
        return None
    return lambda args: tuple(make(args) for make in makers)


def _again_one(out: Any, args: Any, storages: set[int]) -> Callable[[Any], Tensor] | None:
    """`_again` for a single result."""
    if not isinstance(out, Tensor):
        return None
    if args and out is args[0]:
        return lambda args: args[0]
    if out.untyped_storage()._cdata in storages:
        return None
    return functools.partial(_empty, out.shape, out.stride(), out.dtype, out.device)


def _empty(size: torch.Size, stride: tuple[int, ...], dtype: torch.dtype, device: torch.device, _: Any) -> Tensor:
    return torch.empty_strided(size, stride, dtype=dtype, device=device)


def _batch(model: Model, rows: int, steps: int, numbers: bool) -> Batch:
    with on_meta_device():
        return results.checked(model.task, "example_batch", model.task.example_batch(rows, steps, numbers))


def _saved_bytes(model: Model, rows: int, steps: int, numbers: bool) -> int:
    """The bytes that a batch saves for the backward pass, extrapolated from a small batch."""
    # each storage counts once, however many views there are, and weights do not count
    saved: dict[int, int] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    small_rows, small_steps = 2, 8
    batch = _batch(model, small_rows, small_steps, numbers)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), _Counter():
        scores, _ = model(batch)
        model.task.loss(scores, batch)
    return sum(saved.values()) * rows * steps // (small_rows * small_steps)
