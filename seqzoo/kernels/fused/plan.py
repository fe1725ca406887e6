"""What a step becomes before any code is written for it: three passes over its graphs, each cut at its products.

Whoever writes code, in whatever language, starts from here; the buffers have the same names everywhere.
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
    """One direction of a step. stores: buffer of rows, first number, node; state: the nodes of the next state; sums:
    vector, first number, node that each row adds.
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
        """What a leaf that reads the state is called."""
        return "grad_state" if self.backwards else "state"

    @property
    def first_and_last(self) -> tuple[str, str]:
        """The buffers that the state comes from, and goes to."""
        return ("last_state", "first_state") if self.backwards else ("first_state", "last_state")


class Stages:
    """A pass, cut at its products. order: its nodes; used: the products that they need; of: how many products come
    before a node, one after the other.
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
        """The stage at whose end a product can be computed."""
        return max(self.of[piece] for piece in self.products[index].argument.pieces)

    def leaves(self, kind: str) -> list[Leaf]:
        return [node for node in self.order if isinstance(node, Leaf) and node.source.kind == kind]


class Plan(NamedTuple):
    """widths: numbers a row of each buffer of rows, and of "state0", "vector0", ...; of "saved0", ...: where it begins
    on the tape; work: multiplications a row and step.
    """

    step: Step
    back: Reverse
    widths: dict[str, int]
    work: int

    @property
    def passes(self) -> list[Pass]:
        """Without gradients, with what the reverse needs, and the reverse."""
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
        """Where a product is only added to what was projected, both have one gradient."""
        return self.back.products[index] is self.back.projected

    def argument(self, tape: Tensor, product: int) -> Tensor:
        """(N, K): what the product was with, at every step."""
        places, saved = self.back.places, self.back.saved
        parts = [tape[:, places[k] : places[k] + saved[k].width] for k in self.back.arguments[product]]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def plan(cell: Stepping, projected_size: int, state: State) -> Plan:
    """Raises NotCompilable."""
    step = trace(cell, projected_size, state)
    sizes = [part.shape[-1] for part in flatten(state)]
    back = reverse(step, projected_size, sizes)
    memo: dict[int, Any] = {}
    with torch.no_grad():
        fixed = [one(cell, memo) for one in step.fixed]
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
    """Of each piece of a concatenation: buffer, first number, node."""
    found, offset = [], 0
    for piece in node.pieces:
        found.append((buffer, offset, piece))
        offset += piece.width
    return found
