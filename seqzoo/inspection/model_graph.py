"""The graph of a model for TensorBoard: the operations of a batch up to its loss."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import Batch, State
from seqzoo.contracts.state import flatten
from seqzoo.contracts.steps import Steps
from seqzoo.network.model import Model
from seqzoo.network.restoring import evaluating

STEPS = 2
"""Number of steps of a cell that are drawn; the others are equal."""


def graph_of(model: Model, batch: Batch) -> Any:
    """Trace a model.

    Args:
        model: whose mode and random state are restored.
        batch: any.

    Returns:
        A GraphDef, whose nodes are named after their modules, as in encoder/embedding/embedding.
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    devices = [batch.inputs.device] if batch.inputs.device.type == "cuda" else []
    tracer = _Tracer(model)
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=devices), tracer:
        tracer.source("inputs", batch.inputs)
        tracer.source("lengths", batch.lengths)
        scores, _ = model(batch)
        tracer.enter("loss")
        model.task.loss(scores, batch)
    return GraphDef(node=tracer.nodes, versions=VersionDef(producer=22))


class _Tracer(TorchFunctionMode):
    """Records operations of torch; nodes: a NodeDef for each operation and each parameter."""

    def __init__(self, model: Model):
        super().__init__()
        self.nodes: list[Any] = []
        self._scopes = [""]
        self._counts: Counter[str] = Counter()
        # the nodes that made each tensor, by its id; the tensors are kept, so that ids are not reused
        self._makers: dict[int, list[str]] = {}
        self._kept: list[Tensor] = []
        self._parameters = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        self._model, self._undo = model, ExitStack()

    def __enter__(self) -> _Tracer:
        with ExitStack() as undo:
            for name, module in self._model.named_modules():
                undo.callback(module.register_forward_pre_hook(self._entering(name)).remove)
                undo.callback(module.register_forward_hook(self._leaving).remove)
                if isinstance(module, Cell) and "scan" not in vars(module):
                    module.scan = self._scan(module, name)  # type: ignore[method-assign]
                    undo.callback(delattr, module, "scan")
            self._undo = undo.pop_all()
        super().__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        try:
            super().__exit__(*reason)
        finally:
            self._undo.close()

    def enter(self, scope: str) -> None:
        self._scopes.append(scope.replace(".", "/"))

    def _entering(self, name: str) -> Any:
        return lambda *_: self.enter(name)

    def _leaving(self, *_: Any) -> None:
        self._scopes.pop()

    def source(self, name: str, tensor: Tensor) -> None:
        self._note(name, "Input", [], [tensor])

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        name = getattr(function, "__name__", "")
        if name == "__get__":  # an attribute, such as the real part
            for leaf in made:
                self._alias(leaf, self._makers.get(id(leaf), self._makers.get(id(args[0]), [])))
        elif made:
            self._note(name.strip("_"), name.strip("_"), tree_leaves((args, kwargs)), made)
        return result

    def _scan(self, cell: Cell, name: str) -> Any:
        """The scan of a cell, which is not traced, followed by its first steps, which are."""
        scan = cell.scan

        def scan_and_trace(
            x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None
        ) -> tuple[Tensor, State]:
            with torch._C.DisableTorchFunction():
                outputs, after = scan(x, state, steps)
            scope = name.replace(".", "/")
            self._scopes.append(scope)
            state = cell.initial_state(x.shape[0]) if state is None else state
            made = []
            for number, p in enumerate(cell.project(x[:, :STEPS]).unbind(1), start=1):
                self._scopes[-1] = f"{scope}/step_{number}"
                output, state = cell.step(p, state)
                made.append(output)
            self._scopes.pop()
            self._alias(outputs, [maker for tensor in made for maker in self._makers.get(id(tensor), [])])
            for left, traced in zip(flatten(after), flatten(state), strict=True):
                self._alias(left, self._makers.get(id(traced), []))
            return outputs, after

        return scan_and_trace

    def _alias(self, tensor: Tensor, makers: list[str]) -> None:
        self._makers[id(tensor)] = makers
        self._kept.append(tensor)

    def _note(self, name: str, operation: str, read: list[Any], made: list[Tensor]) -> None:
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.node_def_pb2 import NodeDef
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        inputs: dict[str, None] = {}
        for tensor in read:
            if not isinstance(tensor, Tensor):
                continue
            if id(tensor) in self._parameters and id(tensor) not in self._makers:
                self._makers[id(tensor)] = []
                self._note_parameter(tensor)
            inputs.update(dict.fromkeys(self._makers.get(id(tensor), [])))
        scope = self._scopes[-1] if operation not in ("Parameter", "Input") else ""
        full = f"{scope}/{name}".strip("/")
        self._counts[full] += 1
        if self._counts[full] > 1:
            full = f"{full}_{self._counts[full]}"
        shapes = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in tensor.shape]) for tensor in made]
        attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
        self.nodes.append(NodeDef(name=full, op=operation, input=list(inputs), attr=attributes))
        for tensor in made:
            self._alias(tensor, [full])

    def _note_parameter(self, tensor: Tensor) -> None:
        self._note(self._parameters[id(tensor)].replace(".", "/"), "Parameter", [], [tensor])
