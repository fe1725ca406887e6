"""The reverse of one step: from the gradients of its output and of the state after it, those of all that went in.

What the reverse needs of the step itself is either cheap to compute again or saved: saved are results of products,
functions such as tanh, and the state.
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
    """saved: what each step must keep, nodes of the step's own graph, in the order of the indices of "saved" leaves.

    projected: the gradient of what the step reads of the input; state: of the state before the step; products: of each
    product of the step, before the weight; vectors: stretches of fixed vectors, (index, offset) -> what each row adds
    to their gradient; arguments: which saved nodes are the arguments of the step's products, in order.
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
        """Where each saved node begins, one after the other."""
        return [0, *accumulate(node.width for node in self.saved)][:-1]


def reverse(step: Step, projected_size: int, state_sizes: list[int]) -> Reverse:
    graph = step.graph
    order = in_order([step.output, *step.state], step.products)
    own = set(order)
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
    of_products: dict[int, Node] = {}
    waiting = _uses_of_products(order)
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
            waiting[index] -= 1
            if not waiting[index]:
                product = forward_products[index]
                whole = _assemble(graph, leaves.get(("product", index), {}), product.width)
                of_products[index] = whole
                back = graph.product(whole, product.weight, product.argument.width, transposed=True)
                start = 0
                for piece in product.argument.pieces:
                    gradients.add(piece, graph.part(back, start, piece.width))
                    start += piece.width

    roots = [
        _assemble(graph, leaves.get(("projected", 0), {}), projected_size),
        *(_assemble(graph, leaves.get(("state", k), {}), size) for k, size in enumerate(state_sizes)),
        *(of_products[k] for k in range(len(forward_products))),
    ]
    vectors = {
        (index, offset): gradient
        for (kind, index), parts in leaves.items()
        if kind == "vector"
        for offset, gradient in parts.items()
    }
    return _saving(graph, own, forward_products, roots, vectors, len(state_sizes))


def _uses_of_products(order: list[Node]) -> dict[int, int]:
    """Of each product, how many leaves read it."""
    uses: dict[int, int] = {}
    for node in order:
        if is_product(node):
            uses[node.source.which] = uses.get(node.source.which, 0) + 1
    return uses


def _assemble(graph: Graph, parts: dict[int, Node], width: int) -> Node:
    """The gradient of something of which leaves read the stretches in `parts`; the rest is zero."""
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
        known = self._sums.get(node)
        self._sums[node] = gradient if known is None else self.graph.apply("add", known, gradient)

    def of(self, node: Node) -> Node | None:
        return self._sums.get(node)


def _backpropagate(gradients: _Gradients, node: Node, g: Node) -> None:
    apply, add = gradients.graph.apply, gradients.add
    a, b = node.args[0], node.args[-1]  # the same where there is one
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
        case "equal" | "less" | "sign":
            pass
        case _:
            raise NotCompilable(f"{node.op} has no derivative here")


def _saving(
    graph: Graph,
    own: set[Node],
    products: Sequence[Product],
    roots: list[Node],
    vectors: dict[tuple[int, int], Node],
    num_states: int,
) -> Reverse:
    """Put what is saved in the place of what the step computed."""
    saved: dict[Node, int] = {}

    def save(node: Node) -> Node:
        index = saved.setdefault(node, len(saved))
        return backward.leaf("saved", index, 0, node.width)

    def replace(node: Node) -> Node | None:
        if node not in own or node.op in CHEAP:
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
