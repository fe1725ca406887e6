"""Execution of a graph in torch, node by node: for second derivatives, and to test generated code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import State
from seqzoo.kernels.fused.graph import Constant, Leaf, Node, in_order
from seqzoo.kernels.fused.tracing import Step

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "neg": lambda a: -a, "abs": torch.abs, "sign": torch.sign, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "detach": torch.detach,
    "relu": torch.relu, "erf": torch.erf, "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt, "sin": torch.sin, "cos": torch.cos, "log_sigmoid": F.logsigmoid,
    "maximum": torch.maximum, "minimum": torch.minimum, "where": torch.where,
    "equal": lambda a, b: a == b, "less": lambda a, b: a < b,
    "sum": lambda a: a.sum(-1, keepdim=True), "concat": lambda *parts: torch.cat(parts, dim=-1),
}  # fmt: skip


def interpreted(step: Step, fixed: Sequence[Tensor]) -> Callable[[Tensor, State], tuple[Tensor, State]]:
    """The traced `Cell.step` as a function of torch tensors, for a flat state."""
    order = in_order([step.output, *step.state], step.products)

    def run(p: Tensor, state: State) -> tuple[Tensor, State]:
        values: dict[Node, Any] = {}
        products: dict[int, Tensor] = {}

        def value(node: Node) -> Tensor:
            return torch.cat([values[piece] for piece in node.pieces], dim=-1)

        def leaf(node: Leaf) -> Tensor:
            kind, index, offset = node.source
            if kind == "product" and index not in products:
                product = step.products[index]
                weight = fixed[product.weight]
                products[index] = value(product.argument).to(weight.dtype) @ weight
            whole = {"projected": [p], "state": state, "product": products}.get(kind)
            tensor = fixed[index].reshape(-1) if whole is None else whole[index]  # type: ignore[index]
            return tensor[..., offset : offset + node.width]

        for node in order:
            if isinstance(node, Leaf):
                values[node] = leaf(node)
            elif isinstance(node, Constant):
                values[node] = p.new_full((*p.shape[:-1], node.width), node.value)
            else:
                values[node] = FUNCTIONS[node.op](*(values[arg] if isinstance(arg, Node) else arg for arg in node.args))
        rows = p.shape[0]
        after = [value(part).expand(rows, -1).to(old.dtype) for part, old in zip(step.state, state, strict=True)]
        return value(step.output).expand(rows, -1).to(p.dtype), tuple(after)

    return run
