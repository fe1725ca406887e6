"""The schedule of a step, from which all code is generated: three passes, each divided into stages at its products.

Buffers have the same names in all backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten
from seqzoo.kernels.fused.derivative import Reverse, reverse
from seqzoo.kernels.fused.graph import Leaf, Node, Product, in_order, is_product
from seqzoo.kernels.fused.tracing import Step, trace
from seqzoo.kernels.stepping import Stepping


@dataclass
class Pass:
    """One direction of a step.

    Args:
        products: the products of its graph.
        stores: (buffer of rows, offset, node) to write.
        state: the nodes of the next state.
        sums: (vector, offset, node) whose rows are added up.
        backwards: whether it runs from the last step to the first.
    """

    name: str
    products: Sequence[Product]
    stores: list[tuple[str, int, Node]]
    state: list[Node]
    sums: list[tuple[int, int, Node]] = field(default_factory=list)
    backwards: bool = False

    @property
    def roots(self) -> list[Node]:
        return [*(node for _, _, node in self.stores), *self.state, *(node for *_, node in self.sums)]

    @property
    def state_kind(self) -> str:
        """The kind of the leaves that read the state."""
        return "grad_state" if self.backwards else "state"

    @property
    def first_and_last(self) -> tuple[str, str]:
        """Names of the buffers of the initial and the final state."""
        return ("last_state", "first_state") if self.backwards else ("first_state", "last_state")


class Stages:
    """A pass divided into stages at its products.

    Attributes:
        order: the nodes of the pass in topological order.
        used: indices of the products that they depend on.
        of: the stage of each node, the number of products that must be computed one after the other before it.
    """

    def __init__(self, part: Pass):
        self.products = part.products
        self.order = in_order(part.roots, part.products)
        self.used = sorted({node.source.which for node in self.order if is_product(node)})
        self.of: dict[Node, int] = {}
        for node in self.order:
            if is_product(node):
                self.of[node] = 1 + self.of_argument(node.source.which)
            else:
                self.of[node] = max((self.of[arg] for arg in node.nodes), default=0)

    @property
    def count(self) -> int:
        return 1 + max(self.of.values(), default=0)

    def of_argument(self, index: int) -> int:
        """The stage after which a product can be computed."""
        return max(self.of[piece] for piece in self.products[index].argument.pieces)

    def leaves(self, kind: str) -> list[Leaf]:
        return [node for node in self.order if isinstance(node, Leaf) and node.source.kind == kind]


class Plan(NamedTuple):
    """The schedule of a step.

    Attributes:
        step: the traced step.
        back: its backward pass.
        widths: numbers per row of each buffer and of "state0", "vector0", ...; for "saved0", ... the offset on the
            tape.
        work: multiplications per row and step.
    """

    step: Step
    back: Reverse
    widths: dict[str, int]
    work: int

    @property
    def passes(self) -> list[Pass]:
        """Inference, forward with saved values, and backward."""
        step, back = self.step, self.back
        output = pieces("output", step.output)
        tape = [("tape", start, node) for start, node in zip(back.places, back.saved, strict=True)]
        stores = pieces("grad_projected", back.projected)
        for index, node in enumerate(back.products):
            if not self.same_gradient(index):
                stores += pieces(f"grad_product{index}", node)
        sums = [(index, offset, node) for (index, offset), node in back.vectors.items()]
        return [
            Pass("infer", step.products, output, list(step.state)),
            Pass("forward", step.products, output + tape, list(step.state)),
            Pass("backward", back.graph.products, stores, list(back.state), sums, backwards=True),
        ]

    def same_gradient(self, index: int) -> bool:
        """Whether a product has the gradient of the projected input, because it is only added to it."""
        return self.back.products[index] is self.back.projected

    def argument(self, tape: Tensor, product: int) -> Tensor:
        """The argument of a product at every step, (N, K)."""
        places, saved = self.back.places, self.back.saved
        parts = [tape[:, places[k] : places[k] + saved[k].width] for k in self.back.arguments[product]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def plan(cell: Stepping, projected_size: int, state: State) -> Plan:
    """Trace a cell and schedule its step. Raises NotCompilable."""
    step = trace(cell, projected_size, state)
    sizes = [part.shape[-1] for part in flatten(state)]
    back = reverse(step, projected_size, sizes)
    memo: dict[int, Any] = {}
    with torch.no_grad():
        fixed = [compute(cell, memo) for compute in step.fixed]
    widths = {
        "projected": projected_size,
        "grad_projected": projected_size,
        "output": step.output.width,
        "grad_output": step.output.width,
        "tape": sum(node.width for node in back.saved),
        **{f"state{k}": size for k, size in enumerate(sizes)},
        **{f"saved{k}": start for k, start in enumerate(back.places)},
        **{f"vector{k}": tensor.numel() for k, tensor in enumerate(fixed)},
        **{f"grad_product{k}": node.width for k, node in enumerate(back.products)},
    }
    work = projected_size + sum(product.argument.width * product.width for product in step.products)
    return Plan(step, back, widths, work)


def pieces(buffer: str, node: Node) -> list[tuple[str, int, Node]]:
    """(buffer, offset, node) for each piece of a concatenation."""
    placed, offset = [], 0
    for piece in node.pieces:
        placed.append((buffer, offset, piece))
        offset += piece.width
    return placed
