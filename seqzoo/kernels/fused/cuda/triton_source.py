"""Generates the text of Triton kernels that compute a step for a block of rows, in two forms.

A node of the graph is a tile (rows, width), with the width rounded up to a power of two; a scalar per row is (rows, 1).
All arithmetic is in float32, whatever the dtype of buffers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from seqzoo.kernels.fused.graph import Constant, Leaf, Node, is_product
from seqzoo.kernels.fused.plan import Pass, Plan, Stages, pieces
from seqzoo.kernels.fused.tracing import NotCompilable

EXPRESSIONS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "abs": "tl.abs({})",
    "detach": "{0}",
    "sign": "({0} > 0).to(tl.float32) - ({0} < 0).to(tl.float32)",
    "sigmoid": "sigmoid_({})",
    "tanh": "tanh_({})",
    "relu": "tl.where({0} > 0, {0}, tl.where({0} != {0}, {0}, 0.0))",
    "erf": "tl.erf({})",
    "exp": "tl.exp({})",
    "log": "tl.log({})",
    "sqrt": "tl.sqrt({})",
    "rsqrt": "1.0 / tl.sqrt({})",
    "sin": "tl.sin({})",
    "cos": "tl.cos({})",
    "log_sigmoid": "log_sigmoid_({})",
    "maximum": "tl.where({0} < {1}, {1}, {0})",
    "minimum": "tl.where({1} < {0}, {1}, {0})",
    "where": "tl.where({} != 0, {}, {})",
    "equal": "({} == {}).to(tl.float32)",
    "less": "({} < {}).to(tl.float32)",
}
# numbers that change between calls, for which Triton must not compile a specialised kernel
UNSPECIALISED = ("rows", "steps", "offset")
# the first entries of the table of `Stepwise` kernels, before addresses
TABLE = ("t", "steps", "rows")


def rounded(width: int) -> int:
    """The number of columns of a tile; products need at least 16."""
    return 1 if width == 1 else max(16, 1 << (width - 1).bit_length())


class Kernel(NamedTuple):
    """The text of a kernel.

    Attributes:
        name: of the function.
        text: the source.
        arguments: names of the arguments after BLOCK, the number of rows per program.
    """

    name: str
    text: str
    arguments: list[str]


class _Writer:
    """The common part of both forms.

    Args:
        part: the pass.
        plan: the plan that it belongs to.

    Attributes:
        arguments: names that lines of the kernel use, in the order of their first use.
        columns: widths of the tiles.
    """

    def __init__(self, part: Pass, plan: Plan):
        self.part, self.widths, self.stages = part, plan.widths, Stages(part)
        self.names = {node: f"v{index}" for index, node in enumerate(self.stages.order)}
        self.arguments: list[str] = []
        self.columns: set[int] = set()

    def argument(self, name: str) -> str:
        if name not in self.arguments:
            self.arguments.append(name)
        return name

    def column(self, width: int) -> str:
        self.columns.add(rounded(width))
        return f"c{rounded(width)}"

    def mask(self, width: int, *others: str) -> str:
        columns = [] if width == rounded(width) else [f"({self.column(width)} < {width})"]
        return " & ".join([*others, *columns]) or "None"

    def place(self, buffer: str, row: str, offset: int, width: int) -> str:
        return f"{buffer} + {row} + {offset} + {self.column(width)}"

    def load(self, node: Node, place: str, mask: str) -> str:
        other = "" if mask == "None" else ", other=0.0"
        return f"{self.names[node]} = tl.load({place}, mask={mask}{other}).to(tl.float32)"

    def of_step(self, buffer: str, offset: int, width: int, at: str = "at") -> str:
        """The address of the current step of each row in a buffer of steps."""
        return self.place(self.argument(buffer), f"{at} * {self.widths[buffer]}", offset, width)

    def read_of_step(self, node: Leaf, at: str = "at") -> str:
        """The address of a leaf at the current step of each row."""
        kind, index, offset = node.source
        if kind == "saved":
            kind, offset = "tape", self.widths[f"saved{index}"] + offset
        return self.of_step(kind, offset, node.width, at)

    def load_vector(self, node: Leaf) -> str:
        _, index, offset = node.source
        return self.load(
            node, self.place(self.argument(f"vector{index}"), "0", offset, node.width), self.mask(node.width)
        )

    def store(self, place: str, node: Node) -> str:
        return f"tl.store({place}, {self.value(node)}, mask={self.mask(node.width, 'running')})"

    def value(self, arg: Node | float) -> str:
        if isinstance(arg, Node):
            return _literal(arg.value) if isinstance(arg, Constant) else self.names[arg]
        return _literal(arg)

    def compute(self, node: Node) -> str:
        if node.op == "sum":
            (arg,) = node.nodes
            # tl.where also expands tiles of a single column
            inner = f"tl.where({self.column(arg.width)} < {arg.width}, {self.value(arg)}, 0.0)"
            return f"{self.names[node]} = tl.sum({inner}, 1, keep_dims=True)"
        return f"{self.names[node]} = {EXPRESSIONS[node.op].format(*map(self.value, node.args))}"

    def aranges(self) -> list[str]:
        return [
            f"c{width} = tl.arange(0, {width})[None, :]" if width > 1 else "c1 = tl.zeros((1, 1), tl.int32)"
            for width in sorted(self.columns)
        ]

    def function(self, name: str, arguments: list[str], lines: list[str]) -> Kernel:
        arguments = ["BLOCK: tl.constexpr", *arguments]
        changing = [f'"{argument}"' for argument in UNSPECIALISED if argument in arguments]
        head = f"@triton.jit(do_not_specialize=[{', '.join(changing)}])\ndef {name}({', '.join(arguments)}):\n"
        return Kernel(name, head + "".join(f"    {line}\n" for line in lines), arguments[1:])


class Resident(_Writer):
    """A kernel that runs a block of rows over all steps and keeps weights and state in registers or shared memory.

    The inputs of a step are prefetched during the step before.
    """

    def __init__(self, part: Pass, plan: Plan):
        super().__init__(part, plan)
        self.before: list[str] = []
        self.read: dict[str, str] = {}  # names of the inputs of a step, and the lines that prefetch them
        self.weights: dict[str, int] = {}  # names of the tiles of weights, and their sizes
        self.rows_of_weights: set[int] = set()

    def kernel(self) -> Kernel:
        """The kernel. Raises NotCompilable if a step rearranges the state, which registers cannot do."""
        first, last = self.part.first_and_last
        state_pieces = [
            (k, offset, node) for k, root in enumerate(self.part.state) for _, offset, node in pieces("", root)
        ]
        cut = {(k, offset, node.width) for k, offset, node in state_pieces}
        for leaf in self.stages.leaves(self.part.state_kind):
            if (leaf.source.which, leaf.source.offset, leaf.width) not in cut:
                raise NotCompilable("its state is read and written in different pieces")
            self.names[leaf] = f"s{leaf.source.which}_{leaf.source.offset}"
        loop = [line for node in self.stages.order for line in self._node(node)]
        loop += [
            self.store(self.of_step(buffer, offset, node.width), node) for buffer, offset, node in self.part.stores
        ]
        loop += [self._add(index, offset, node) for index, offset, node in self.part.sums]
        loop += [
            f"n{k}_{offset} = tl.where(running, {self.value(node)}, s{k}_{offset})" for k, offset, node in state_pieces
        ]
        loop += [f"s{k}_{offset} = n{k}_{offset}" for k, offset, _ in state_pieces]
        after = [self._finish(index, offset, node) for index, offset, node in self.part.sums]
        for k, offset, node in state_pieces:
            width = node.width
            row, mask = f"row * {self.widths[f'state{k}']}", self.mask(width, "inside")
            place = self.place(self.argument(f"{first}{k}"), row, offset, width)
            shape = f"tl.zeros((BLOCK, {rounded(width)}), tl.float32)"
            self.before.append(f"s{k}_{offset} = tl.load({place}, mask={mask}, other=0.0).to(tl.float32) + {shape}")
            after.append(
                f"tl.store({self.place(self.argument(f'{last}{k}'), row, offset, width)}, s{k}_{offset}, mask={mask})"
            )
        first_t, sign = ("longest - 1", "-") if self.part.backwards else ("0", "+")
        lines = [
            "r = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]",
            "inside = r < rows",
            "row = tl.load(order + r, mask=inside, other=0)",
            "length = tl.load(lengths + row, mask=inside, other=0).to(tl.int32)",
            "longest = tl.max(length)",
            *self.aranges(),
            *(f"k{width} = tl.arange(0, {width})[:, None]" for width in sorted(self.rows_of_weights)),
            *self.before,
            *self._prefetch(first_t),
            "for i in range(longest):",
            f"    t = {first_t} {sign} i",
            "    running = t < length",
            "    at = row * steps + t",
            *(f"    {name} = {name}_ahead.to(tl.float32)" for name in self.read),
            *(f"    {line}" for line in [*self._prefetch(f"t {sign} 1"), *loop]),
            *after,
        ]
        common = ["order", "lengths", "rows", "steps", "PRECISION: tl.constexpr"]
        return self.function(self.part.name, [*self.arguments, *common], lines)

    def _node(self, node: Node) -> list[str]:
        if node.op == "constant":
            return []
        if not isinstance(node, Leaf):
            return [self.compute(node)]
        if is_product(node):
            return self._product(node)
        if node.source.kind == "vector":
            self.before.append(self.load_vector(node))
            return []
        if node.source.kind != self.part.state_kind:
            name, place = self.names[node], self.read_of_step(node, "next_at")
            self.read[name] = f"{name}_ahead = tl.load({place}, mask={self.mask(node.width, 'more')}, other=0.0)"
        return []

    def _prefetch(self, t: str) -> list[str]:
        """Lines that load the inputs of step `t`."""
        return [
            f"next_t = {t}",
            "more = (next_t >= 0) & (next_t < length)",
            "next_at = row * steps + next_t",
            *self.read.values(),
        ]

    def _product(self, leaf: Leaf) -> list[str]:
        """Lines that compute a tile of a product: the sum over the pieces of its argument."""
        product = self.part.products[leaf.source.which]
        name, total, lines = self.names[leaf], "", []
        for _, offset, piece in pieces("", product.argument):
            if isinstance(piece, Constant) and piece.value == 0:
                continue
            if min(piece.width, leaf.width) == 1 or piece.op == "constant":
                raise NotCompilable("a product is with one number")
            weight = self._weight(product.weight, product.transposed, offset, piece, leaf)
            argument = self.value(piece)
            if piece.width != rounded(piece.width):
                argument = f"tl.where({self.mask(piece.width)}, {argument}, 0.0)"
            lines.append(
                f"{name} = tl.dot(({argument}).to({weight}.dtype), {weight}{total}, input_precision=PRECISION)"
            )
            total = f", {name}"
        return lines or [f"{name} = tl.zeros((BLOCK, {rounded(leaf.width)}), tl.float32)"]

    def _weight(self, index: int, transposed: bool, offset: int, piece: Node, leaf: Leaf) -> str:
        K, N = rounded(piece.width), rounded(leaf.width)  # noqa: N806
        name = f"w{index}{'t' if transposed else ''}_{offset}_{leaf.source.offset}_{K}_{N}"
        if name in self.weights:
            return name
        self.weights[name] = K * N
        weight = self.argument(f"weight{index}")
        row, column = self.argument(f"{weight}_row"), self.argument(f"{weight}_column")
        if transposed:
            row, column = column, row
        self.rows_of_weights.add(K)
        place = f"{weight} + ({offset} + k{K}) * {row} + ({leaf.source.offset} + {self.column(leaf.width)}) * {column}"
        mask = f"(k{K} < {piece.width}) & ({self.column(leaf.width)} < {leaf.width})"
        self.before.append(f"{name} = tl.load({place}, mask={mask}, other=0.0)")
        return name

    def _add(self, index: int, offset: int, node: Node) -> str:
        name = f"g{index}_{offset}"
        self.before.append(f"{name} = tl.zeros((BLOCK, {rounded(node.width)}), tl.float32)")
        return f"{name} += tl.where(running, {self.value(node)}, 0.0)"

    def _finish(self, index: int, offset: int, node: Node) -> str:
        """Store the sum of a program in a row of its own. torch adds them up, so that results are deterministic."""
        row = f"tl.program_id(0) * {self.widths[f'vector{index}']}"
        place = self.place(self.argument(f"sum{index}"), row, offset, node.width)
        return f"tl.store({place}, tl.sum(g{index}_{offset}, 0, keep_dims=True), mask={self.mask(node.width)})"


class Stage(NamedTuple):
    """A stage of a step.

    Attributes:
        kernel: None: there is nothing to compute.
        products: indices of the products that torch computes after it.
    """

    kernel: Kernel | None
    products: list[int]


class Stepwise(_Writer):
    """A kernel for each stage of a step, between torch's products.

    Stages communicate through scratch memory, with rows sorted by length: "now0", ... and "next0", ... (the state),
    "product0", "argument0", "keep0", "sum0", ... Operands of products have the type `real`, all others are float32. A
    kernel reads everything that changes between calls (the step, sizes and addresses) from a table on the device, so
    that recorded launches can be replayed.

    Args:
        part: the pass.
        plan: the plan that it belongs to.
        real: Triton's name of the dtype of inputs and weights.
    """

    def __init__(self, part: Pass, plan: Plan, real: str):
        super().__init__(part, plan)
        self.real = real
        self.late, self.ready = self._places()
        self.scratch: dict[str, int] = {f"now{k}": self.widths[f"state{k}"] for k in range(len(part.state))}
        self.scratch |= {f"next{k}": self.widths[f"state{k}"] for k in range(len(part.state))}
        for index in self.stages.used:
            self.scratch[f"product{index}"] = part.products[index].width
            if self.source_of(index).startswith("argument"):
                self.scratch[f"argument{index}"] = part.products[index].argument.width
        self.table: list[str] = []

    @property
    def copies(self) -> dict[int, int]:
        """Products whose argument is a state of another dtype, product -> state, if the state is written after the
        product has been computed; it is then also written in the dtype of the product, for the next step.
        """
        states = {index: self._whole_state(index) for index in self.stages.used}
        return {
            index: k
            for index, k in states.items()
            if k is not None and self.real != "tl.float32" and self._written_after(k, self.ready[index])
        }

    def _written_after(self, k: int, stage: int) -> bool:
        return all(self._at(piece) > stage for piece in self.part.state[k].pieces)

    def _places(self) -> tuple[dict[Node, int], dict[int, int]]:
        """The stage of each node, as late as possible, so that few values pass between stages and some stages are
        empty; and the stage after which each product must be computed.
        """
        last = self.stages.count - 1
        late = dict.fromkeys(self.stages.order, last)
        ready = dict.fromkeys(self.stages.used, last)
        for node in reversed(self.stages.order):
            needed, stage = node.nodes, late[node]
            if is_product(node):
                index = node.source.which
                ready[index] = min(ready[index], stage - 1)
                needed, stage = self.part.products[index].argument.pieces, ready[index]
            for other in needed:
                late[other] = min(late[other], stage)
        return late, ready

    def source_of(self, index: int) -> str:
        """The scratch that holds the argument of a product."""
        k = self._whole_state(index)
        return f"argument{index}" if k is None or self.real != "tl.float32" else f"now{k}"

    def _whole_state(self, index: int) -> int | None:
        """The index of the state that is the whole argument of a product, else None."""
        argument = self.part.products[index].argument
        if isinstance(argument, Leaf) and argument.source.kind == self.part.state_kind:
            _, k, offset = argument.source
            if offset == 0 and argument.width == self.widths[f"state{k}"]:
                return k
        return None

    def code(self) -> list[Stage]:
        return [
            Stage(self._kernel(stage), [index for index in self.stages.used if self.ready[index] == stage])
            for stage in range(self.stages.count)
        ]

    def _kernel(self, stage: int) -> Kernel | None:
        self.arguments = []
        stores = self._stores(stage)
        sums = [(index, offset, node) for index, offset, node in self.part.sums if self._at(node) == stage]
        nodes = [node for node in self.stages.order if node.op not in ("leaf", "constant") and self.late[node] == stage]
        needed = (
            {arg for node in nodes for arg in node.nodes} | {node for _, node in stores} | {node for *_, node in sums}
        )
        kept = {arg for node in self.stages.order for arg in node.nodes if self.late[arg] < self.late[node]}
        stores += [(self._scratch(f"keep{self.names[node]}", 0, node), node) for node in nodes if node in kept]
        if not stores and not sums:
            return None
        lines: list[str] = []
        for node in self.stages.order:
            if node in nodes:
                lines.append(self.compute(node))
            elif node in needed and node.op != "constant":
                lines.append(self._load(node))
        lines += [self.store(place, node) for place, node in stores]
        lines += [self._add(index, offset, node) for index, offset, node in sums]
        buffers = [name for name in self.arguments if name not in self.scratch]
        self.table += [name for name in ("order", "lengths", *buffers) if name not in self.table]
        sign = "-" if self.part.backwards else "+"
        head = [
            f"t = tl.load(table) {sign} offset",
            "steps = tl.load(table + 1)",
            "rows = tl.load(table + 2)",
            *(self._address(name, "tl.int64") for name in ("order", "lengths")),
            *(self._address(name, "tl.float32" if name.startswith("vector") else self.real) for name in buffers),
            *self.aranges(),
            "r = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]",
            "row = tl.load(order + r, mask=r < rows, other=0)",
            "length = tl.load(lengths + row, mask=r < rows, other=0)",
            "running = (t >= 0) & (t < length)",
            "at = row * steps + t",
        ]
        scratch = [name for name in self.arguments if name in self.scratch]
        return self.function(f"{self.part.name}{stage}", ["table", "offset", *scratch], head + lines)

    def _address(self, name: str, dtype: str) -> str:
        return f"{name} = tl.load(table + {len(TABLE) + self.table.index(name)}).to(tl.pointer_type({dtype}))"

    def _stores(self, stage: int) -> list[tuple[str, Node]]:
        """The addresses that a stage writes, and their nodes."""
        stores = [(buffer, offset, node, self._at(node)) for buffer, offset, node in self.part.stores]
        for k, root in enumerate(self.part.state):
            targets = [f"next{k}", *(f"argument{index}" for index, copied in self.copies.items() if copied == k)]
            stores += [(*piece, self._at(piece[2])) for target in targets for piece in pieces(target, root)]
        for index in self.stages.used:
            if self.source_of(index).startswith("argument") and index not in self.copies:
                # scratch memory is zero initially
                stores += [
                    (buffer, offset, node, self._at(node, self.ready[index]))
                    for buffer, offset, node in pieces(f"argument{index}", self.part.products[index].argument)
                    if not isinstance(node, Constant) or node.value != 0
                ]
        return [
            (
                self._scratch(buffer, offset, node)
                if buffer in self.scratch
                else self.of_step(buffer, offset, node.width),
                node,
            )
            for buffer, offset, node, at in stores
            if at == stage
        ]

    def _at(self, node: Node, otherwise: int | None = None) -> int:
        """The stage that stores a node; a leaf can be stored at any stage, by default the last one."""
        if node.op in ("leaf", "constant"):
            return self.stages.count - 1 if otherwise is None else otherwise
        return self.late[node]

    def _scratch(self, name: str, offset: int, node: Node) -> str:
        self.scratch.setdefault(name, node.width)
        return self.place(self.argument(name), f"r * {self.scratch[name]}", offset, node.width)

    def _load(self, node: Node) -> str:
        if not isinstance(node, Leaf):
            name, offset = f"keep{self.names[node]}", 0
        elif node.source.kind == "vector":
            return self.load_vector(node)
        elif is_product(node):
            name, offset = f"product{node.source.which}", node.source.offset
        elif node.source.kind == self.part.state_kind:
            name, offset = f"now{node.source.which}", node.source.offset
        else:
            return self.load(node, self.read_of_step(node), self.mask(node.width, "running"))
        return self.load(node, self._scratch(name, offset, node), self.mask(node.width, "running"))

    def _add(self, index: int, offset: int, node: Node) -> str:
        """Accumulate the sum of each row over steps; torch adds up the rows at the end."""
        name = f"sum{index}"
        self.scratch[name] = self.widths[f"vector{index}"]
        place = self._scratch(name, offset, node)
        mask = self.mask(node.width, "running")
        return f"tl.store({place}, tl.load({place}, mask={mask}, other=0.0) + {self.value(node)}, mask={mask})"


def _literal(value: float) -> str:
    return f'float("{value}")' if math.isinf(value) or math.isnan(value) else repr(float(value))
