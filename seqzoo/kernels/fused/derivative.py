"""The backward pass of one step: from the gradients of its output and next state to those of all of its inputs.

Values of the forward pass that it needs are recomputed where that is cheap, else saved: results of products, functions
such as tanh, and the state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from seqzoo.kernels.fused.graph import Graph, Leaf, Node, Product, Rewriter, in_order, is_product, refined
from seqzoo.kernels.fused.tracing import NotCompilable, Step

CHEAP = {
    "add",
    "sub",
    "mul",
    "neg",
    "abs",
    "sign",
    "detach",
    "relu",
    "maximum",
    "minimum",
    "where",
    "equal",
    "less",
    "constant",
    "concat",
}


@dataclass(frozen=True)
class Reverse:
    """The backward pass of a step.

    Args:
        graph: the graph of the gradients.
        saved: nodes of the forward graph that each step must save, in the order of the indices of "saved" leaves.
        projected: gradient of the projected input.
        state: gradients of the state before the step.
        products: gradient of the result of each product of the step.
        vectors: (index, offset) of a part of a fixed vector -> the contribution of each row to its gradient.
        arguments: for each product of the step, the indices of the saved nodes that make up its argument.
    """

    graph: Graph
    saved: tuple[Node, ...]
    projected: Node
    state: tuple[Node, ...]
    products: tuple[Node, ...]
    vectors: dict[tuple[int, int], Node]
    arguments: tuple[tuple[int, ...], ...]

    @property
    def places(self) -> list[int]:
        """The offset of each saved node on the tape."""
        return [0, *accumulate(node.width for node in self.saved)][:-1]


def reverse(step: Step, projected_size: int, state_sizes: list[int]) -> Reverse:
    """Derive the backward pass of a step. Raises NotCompilable for an operation without a derivative here."""
    graph = step.graph
    order = in_order([step.output, *step.state], step.products)
    forward_nodes = set(order)
    forward_products = step.products
    gradients = _Gradients(graph)
    for index, (root, kind) in enumerate(
        [(step.output, "grad_output"), *((part, "grad_state") for part in step.state)]
    ):
        seed = graph.leaf(kind, max(0, index - 1), 0, root.width)
        offset = 0
        for piece in root.pieces:
            gradients.add(piece, graph.part(seed, offset, piece.width))
            offset += piece.width

    leaves: dict[tuple[str, int], dict[int, Node]] = {}
    product_gradients: dict[int, Node] = {}
    pending = _uses_of_products(order)
    for node in reversed(order):
        if not isinstance(node, Leaf):
            gradient = gradients.of(node)
            if gradient is not None:
                _backpropagate(gradients, node, gradient)
            continue
        kind, index, offset = node.source
        gradient = gradients.of(node)
        if gradient is not None:
            leaves.setdefault((kind, index), {})[offset] = gradient
        if kind == "product":
            pending[index] -= 1
            if not pending[index]:
                product = forward_products[index]
                whole = _assemble(graph, leaves.get(("product", index), {}), product.width)
                product_gradients[index] = whole
                back = graph.product(whole, product.weight, product.argument.width, transposed=True)
                start = 0
                for piece in product.argument.pieces:
                    gradients.add(piece, graph.part(back, start, piece.width))
                    start += piece.width

    roots = [
        _assemble(graph, leaves.get(("projected", 0), {}), projected_size),
        *(_assemble(graph, leaves.get(("state", k), {}), size) for k, size in enumerate(state_sizes)),
        *(product_gradients[k] for k in range(len(forward_products))),
    ]
    vectors = {
        (index, offset): gradient
        for (kind, index), parts in leaves.items()
        if kind == "vector"
        for offset, gradient in parts.items()
    }
    return _saving(graph, forward_nodes, forward_products, roots, vectors, len(state_sizes))


def _uses_of_products(order: list[Node]) -> dict[int, int]:
    """The number of leaves that read each product."""
    uses: dict[int, int] = {}
    for node in order:
        if is_product(node):
            uses[node.source.which] = uses.get(node.source.which, 0) + 1
    return uses


def _assemble(graph: Graph, parts: dict[int, Node], width: int) -> Node:
    """A gradient of `width` numbers from its `parts` by offset, zero elsewhere."""
    pieces, position = [], 0
    for offset in sorted(parts):
        if offset > position:
            pieces.append(graph.constant(0.0, offset - position))
        pieces.append(parts[offset])
        position = offset + parts[offset].width
    if position < width:
        pieces.append(graph.constant(0.0, width - position))
    return graph.concat(pieces)


class _Gradients:
    """The sum of the gradients of each node so far."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._sums: dict[Node, Node] = {}

    def add(self, node: Node | float, gradient: Node) -> None:
        if not isinstance(node, Node) or node.op == "constant":
            return
        if node.width == 1 and gradient.width > 1:
            gradient = self.graph.total(gradient)
        if gradient.width < node.width:
            gradient = self.graph.apply("add", self.graph.constant(0.0, node.width), gradient)
        total = self._sums.get(node)
        self._sums[node] = gradient if total is None else self.graph.apply("add", total, gradient)

    def of(self, node: Node) -> Node | None:
        return self._sums.get(node)


def _backpropagate(gradients: _Gradients, node: Node, g: Node) -> None:
    apply, add = gradients.graph.apply, gradients.add
    a, b = node.args[0], node.args[-1]  # the same node for a single argument
    match node.op:
        case "add":
            add(a, g)
            add(b, g)
        case "sub":
            add(a, g)
            add(b, apply("neg", g))
        case "mul":
            add(a, apply("mul", g, b))
            add(b, apply("mul", g, a))
        case "div":
            share = apply("div", g, b)
            add(a, share)
            add(b, apply("neg", apply("mul", share, node)))
        case "neg":
            add(a, apply("neg", g))
        case "abs":
            add(
                a, apply("where", apply("less", a, 0.0), apply("neg", g), apply("where", apply("less", 0.0, a), g, 0.0))
            )
        case "sigmoid":
            add(a, apply("mul", g, apply("mul", node, apply("sub", 1.0, node))))
        case "tanh":
            add(a, apply("mul", g, apply("sub", 1.0, apply("mul", node, node))))
        case "relu":
            add(a, apply("where", apply("less", 0.0, a), g, 0.0))
        case "exp":
            add(a, apply("mul", g, node))
        case "erf":
            add(a, apply("mul", g, apply("mul", apply("exp", apply("neg", apply("mul", a, a))), 2 / math.pi**0.5)))
        case "log":
            add(a, apply("div", g, a))
        case "sqrt":
            add(a, apply("div", apply("mul", g, 0.5), node))
        case "rsqrt":
            cube = apply("mul", node, apply("mul", node, node))
            add(a, apply("mul", apply("mul", g, -0.5), cube))
        case "sin":
            add(a, apply("mul", g, apply("cos", a)))
        case "cos":
            add(a, apply("neg", apply("mul", g, apply("sin", a))))
        case "log_sigmoid":
            add(a, apply("mul", g, apply("sigmoid", apply("neg", a))))
        case "maximum" | "minimum":
            # torch halves the gradient where both are equal
            shared = apply("where", apply("equal", a, b), apply("mul", g, 0.5), 0.0)
            a_first, b_first = apply("less", a, b), apply("less", b, a)
            of_a, of_b = (b_first, a_first) if node.op == "maximum" else (a_first, b_first)
            add(a, apply("where", of_a, g, shared))
            add(b, apply("where", of_b, g, shared))
        case "where":
            add(node.args[1], apply("where", a, g, 0.0))
            add(b, apply("where", a, 0.0, g))
        case "sum":
            add(a, g)
        case "equal" | "less" | "sign" | "detach":
            pass
        case _:
            raise NotCompilable(f"{node.op} has no derivative here")


def _saving(
    graph: Graph,
    forward_nodes: set[Node],
    products: Sequence[Product],
    roots: list[Node],
    vectors: dict[tuple[int, int], Node],
    num_states: int,
) -> Reverse:
    """Replace nodes of the forward pass by saved values."""
    saved: dict[Node, int] = {}

    def save(node: Node) -> Node:
        index = saved.setdefault(node, len(saved))
        return backward.leaf("saved", index, 0, node.width)

    def replace(node: Node) -> Node | None:
        if node not in forward_nodes or node.op in CHEAP:
            return None
        if isinstance(node, Leaf) and node.source.kind in ("projected", "vector"):
            return None
        return save(node)

    backward = Graph()
    for product in products:
        for piece in product.argument.pieces:
            save(piece)
    arguments = tuple(tuple(saved[piece] for piece in product.argument.pieces) for product in products)
    rewriter = Rewriter(backward, graph.products, replace)
    rewritten = [rewriter(root) for root in [*roots, *vectors.values()]]
    fine, rewritten = refined(backward, rewritten)
    first = 1 + num_states
    last = first + len(products)
    return Reverse(
        fine,
        tuple(saved),
        rewritten[0],
        tuple(rewritten[1:first]),
        tuple(rewritten[first:last]),
        dict(zip(vectors, rewritten[last:], strict=True)),
        arguments,
    )
