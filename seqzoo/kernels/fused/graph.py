"""One step of a cell as a graph, the intermediate representation between tracing and code generation.

A node is a vector of `width` numbers for each row of the batch; nodes of width 1 are broadcast, equal nodes are shared.
Slices and concatenations are pushed down to the leaves (a slice of a sum is the sum of slices), so that a graph has
only leaves, elementwise functions, sums over a row and products with a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard


@dataclass(frozen=True, eq=False)
class Node:
    """A vector for each row of the batch.

    Args:
        op: "leaf", "concat", "constant", "sum", or the name of an elementwise function.
        args: its arguments, nodes or numbers.
        width: the length of the vector.
    """

    op: str
    args: tuple[Node | float, ...]
    width: int

    @property
    def nodes(self) -> list[Node]:
        """The arguments that are nodes."""
        return [arg for arg in self.args if isinstance(arg, Node)]

    @property
    def pieces(self) -> list[Node]:
        """The parts of a concatenation; of any other node, the node itself."""
        return self.nodes if self.op == "concat" else [self]


class Source(NamedTuple):
    """What a leaf reads.

    Attributes:
        kind: "projected", "state", "vector" (a weight that is a vector), "product", "saved", "grad_output" or
            "grad_state".
        which: index among the sources of this kind.
        offset: the first number that is read.
    """

    kind: str
    which: int
    offset: int


@dataclass(frozen=True, eq=False)
class Leaf(Node):
    """A node that reads a source."""

    source: Source


@dataclass(frozen=True, eq=False)
class Constant(Node):
    """A vector of `width` equal numbers."""

    value: float


class Product(NamedTuple):
    """argument (B, K) @ weight (K, N), or, transposed, argument (B, N) @ weight.T."""

    argument: Node
    weight: int
    width: int
    transposed: bool = False


class Graph:
    """Creates and shares nodes. `products` are in an order in which they can be computed."""

    def __init__(self) -> None:
        self._nodes: dict[tuple, Node] = {}
        self.products: list[Product] = []

    def leaf(self, kind: str, index: int, offset: int, width: int) -> Node:
        source = Source(kind, index, offset)
        return self._nodes.setdefault(("leaf", source, width), Leaf("leaf", (), width, source))

    def constant(self, value: float, width: int) -> Node:
        value = float(value)
        return self._nodes.setdefault(("constant", value, width), Constant("constant", (), width, value))

    def product(self, argument: Node, weight: int, width: int, transposed: bool = False) -> Node:
        product = Product(argument, weight, width, transposed)
        if product not in self.products:
            self.products.append(product)
        return self.leaf("product", self.products.index(product), 0, width)

    def total(self, node: Node) -> Node:
        """The sum over a row."""
        if isinstance(node, Constant):
            return self.constant(node.value * node.width, 1)
        if node.width == 1:
            return node
        sums = [self._make("sum", (piece,), 1) for piece in node.pieces]
        result = sums[0]
        for other in sums[1:]:
            result = self.apply("add", result, other)
        return result

    def apply(self, op: str, *args: Node | float) -> Node:
        """An elementwise function of at least one node."""
        args = tuple(arg.value if isinstance(arg, Constant) and arg.width == 1 else arg for arg in args)
        nodes = [arg for arg in args if isinstance(arg, Node)]
        width = max((node.width for node in nodes), default=1)
        simple = self._simplify(op, args, width)
        if simple is not None:
            return simple
        cuts = sorted({cut for node in nodes if node.width == width for cut in _cuts(node)})
        if len(cuts) > 1:
            starts = [0, *cuts[:-1]]
            return self.concat(
                self.apply(op, *(self._piece(arg, start, stop - start, width) for arg in args))
                for start, stop in zip(starts, cuts, strict=True)
            )
        return self._make(op, args, width)

    def concat(self, pieces: Iterable[Node]) -> Node:
        flat = [part for piece in pieces for part in piece.pieces]
        return flat[0] if len(flat) == 1 else self._make("concat", tuple(flat), sum(part.width for part in flat))

    def part(self, node: Node, offset: int, width: int) -> Node:
        """A slice of a node: `width` numbers from `offset` on."""
        if (offset, width) == (0, node.width):
            return node
        if isinstance(node, Leaf):
            return self.leaf(node.source.kind, node.source.which, node.source.offset + offset, width)
        if isinstance(node, Constant):
            return self.constant(node.value, width)
        if node.op == "concat":
            parts, start = [], 0
            for piece in node.nodes:
                low, high = max(offset, start), min(offset + width, start + piece.width)
                if low < high:
                    parts.append(self.part(piece, low - start, high - low))
                start += piece.width
            return self.concat(parts)
        return self.apply(node.op, *(self._piece(arg, offset, width, node.width) for arg in node.args))

    def rebuild(self, node: Node, change: Callable[[Node], Node]) -> Node:
        """The same operation on changed arguments."""
        if node.op == "concat":
            return self.concat(map(change, node.nodes))
        if node.op == "sum":
            return self.total(change(node.nodes[0]))
        return self.apply(node.op, *(change(arg) if isinstance(arg, Node) else arg for arg in node.args))

    def _piece(self, arg: Node | float, offset: int, width: int, whole: int) -> Node | float:
        return self.part(arg, offset, width) if isinstance(arg, Node) and arg.width == whole else arg

    def _simplify(self, op: str, args: tuple[Node | float, ...], width: int) -> Node | None:
        """The result of an operation that needs no arithmetic, else None."""
        values = [_value(arg) for arg in args]
        if op in ("add", "sub", "mul", "div"):
            left, right = args
            neutral = 0.0 if op in ("add", "sub") else 1.0
            if values[1] == neutral and _width(left) == width and isinstance(left, Node):
                return left
            if values[0] == neutral and op in ("add", "mul") and _width(right) == width and isinstance(right, Node):
                return right
            if op == "mul" and 0.0 in values:
                return self.constant(0.0, width)
        if op == "where" and isinstance(args[1], Node) and args[1] is args[2] and args[1].width == width:
            return args[1]
        return None

    def _make(self, op: str, args: tuple[Node | float, ...], width: int) -> Node:
        key = (op, tuple(id(arg) if isinstance(arg, Node) else ("number", arg) for arg in args), width)
        return self._nodes.setdefault(key, Node(op, args, width))


def _cuts(node: Node) -> Iterator[int]:
    """The offsets at which the pieces of a node end."""
    end = 0
    for piece in node.pieces:
        end += piece.width
        yield end


def _value(arg: Node | float) -> float | None:
    if isinstance(arg, Node):
        return arg.value if isinstance(arg, Constant) else None
    return arg


def _width(arg: Node | float) -> int:
    return arg.width if isinstance(arg, Node) else 1


def is_product(node: Node) -> TypeGuard[Leaf]:
    """Whether a node reads the result of a product."""
    return isinstance(node, Leaf) and node.source.kind == "product"


def in_order(roots: Iterable[Node], products: Sequence[Product]) -> list[Node]:
    """The roots and all nodes that they depend on, in topological order; a leaf depends on its product's argument."""
    done: dict[Node, None] = {}
    waiting = [(piece, False) for root in reversed(list(roots)) for piece in reversed(root.pieces)]
    while waiting:
        node, ready = waiting.pop()
        if node in done:
            continue
        if ready:
            done[node] = None
            continue
        waiting.append((node, True))
        needed = node.nodes
        if is_product(node):
            needed = products[node.source.which].argument.pieces
        waiting.extend((other, False) for other in reversed(needed) if other not in done)
    return list(done)


class Rewriter:
    """Copies nodes to another graph. `replace` returns a replacement for a node, or None to copy it."""

    def __init__(self, graph: Graph, products: Sequence[Product], replace: Callable[[Node], Node | None]):
        self.graph, self._products, self._replace = graph, products, replace
        self._done: dict[Node, Node] = {}

    def __call__(self, node: Node) -> Node:
        if node not in self._done:
            replaced = self._replace(node)
            self._done[node] = self.same(node) if replaced is None else replaced
        return self._done[node]

    def same(self, node: Node) -> Node:
        """The copy of a node, with rewritten arguments."""
        if isinstance(node, Constant):
            return self.graph.constant(node.value, node.width)
        if is_product(node):
            product = self._products[node.source.which]
            whole = self.graph.product(self(product.argument), product.weight, product.width, product.transposed)
            return self.graph.part(whole, node.source.offset, node.width)
        if isinstance(node, Leaf):
            return self.graph.leaf(*node.source, node.width)
        return self.graph.rebuild(node, self)


def refined(graph: Graph, roots: list[Node]) -> tuple[Graph, list[Node]]:
    """An equivalent graph in which no two leaves overlap: leaves are split wherever another one begins or ends."""
    while True:
        cuts: dict[tuple[str, int], set[int]] = {}
        leaves = [node for node in in_order(roots, graph.products) if isinstance(node, Leaf)]
        for leaf in leaves:
            kind, which, offset = leaf.source
            cuts.setdefault((kind, which), set()).update((offset, offset + leaf.width))
        whole = all(not _inside(leaf, cuts) for leaf in leaves)
        graph, roots = _cut(graph, roots, cuts)
        if whole:
            return graph, roots


def _inside(leaf: Leaf, cuts: dict[tuple[str, int], set[int]]) -> list[int]:
    """The cuts inside a leaf, relative to its start."""
    kind, which, offset = leaf.source
    return sorted(cut - offset for cut in cuts[kind, which] if offset < cut < offset + leaf.width)


def _cut(graph: Graph, roots: list[Node], cuts: dict[tuple[str, int], set[int]]) -> tuple[Graph, list[Node]]:
    def split(leaf: Node) -> Node | None:
        if not isinstance(leaf, Leaf):
            return None
        whole, inside = rewriter.same(leaf), _inside(leaf, cuts)
        ends = zip([0, *inside], [*inside, leaf.width], strict=True)
        return fine.concat(fine.part(whole, start, stop - start) for start, stop in ends)

    fine = Graph()
    rewriter = Rewriter(fine, graph.products, split)
    return fine, [rewriter(root) for root in roots]
