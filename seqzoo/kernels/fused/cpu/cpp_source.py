"""Generates C++ that runs a step over sequences: a loop over time with loops over rows and features inside.

All unfinished rows take a step together. A step is divided into stages at its products, which are computed for all rows
at once. A stage is one loop over rows, with a loop over features for all operations that need no sum over features
first.
"""

from __future__ import annotations

from pathlib import Path

from seqzoo.kernels.fused.graph import Constant, Leaf, Node
from seqzoo.kernels.fused.plan import Pass, Plan, Stages

HEADER = Path(__file__).with_name("recurrence.h")
# buffers of shape (B, T, ...); all other buffers of steps hold only real steps
PADDED = {"output", "grad_output"}
EXPRESSIONS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "abs": "abs_({})",
    "detach": "{0}",
    "sign": "REAL(({0} > 0) - ({0} < 0))",
    "sigmoid": "sigmoid_({})",
    "tanh": "tanh_({})",
    "relu": "({0} > 0 ? {0} : REAL({0} != {0} ? {0} : 0))",
    "erf": "erf_({})",
    "exp": "exp_({})",
    "log": "log_({})",
    "sqrt": "sqrt_({})",
    "rsqrt": "REAL(1) / sqrt_({})",
    "sin": "sin_({})",
    "cos": "cos_({})",
    "log_sigmoid": "log_sigmoid_({})",
    "maximum": "({0} < {1} ? {1} : {0})",
    "minimum": "({1} < {0} ? {1} : {0})",
    "where": "({} != 0 ? {} : {})",
    "equal": "REAL({} == {})",
    "less": "REAL({} < {})",
}


Loops = dict[tuple[int, int], list[str]]
"""Lines of the loops over features, by their level and width: a loop of a higher level needs sums of a lower one."""


class Layout:
    """The numbers and buffers that the source refers to by index, in the order of their first use. Cells that differ
    only in sizes therefore share their source.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.buffers: list[str] = []

    def number(self, value: int) -> str:
        if value == 0:
            return "0"
        if value not in self.numbers:
            self.numbers.append(value)
        return f"n[{self.numbers.index(value)}]"

    def buffer(self, name: str) -> str:
        if name not in self.buffers:
            self.buffers.append(name)
        return f"call.buffers[{self.buffers.index(name)}]"


def generate(plan: Plan) -> tuple[str, Layout]:
    """The C++ source of a plan, and its layout."""
    layout = Layout()
    bodies = [_Writer(part, plan.widths, layout).text() for part in plan.passes]
    return HEADER.read_text(encoding="utf-8") + "\n".join(bodies), layout


class _Writer:
    def __init__(self, function: Pass, widths: dict[str, int], layout: Layout):
        self.function, self.widths, self.layout = function, widths, layout
        self.stages = Stages(function)
        self.order, self.used, self.stage = self.stages.order, self.stages.used, self.stages.of
        self.names = {node: f"v{index}" for index, node in enumerate(self.order)}
        self.level = self._levels()
        self.kept = self._across_loops()
        self.lines: list[str] = []

    def _levels(self) -> dict[Node, int]:
        """For each node the number of sums over features that precede it in its stage."""
        level: dict[Node, int] = {}
        for node in self.order:
            same = [level[arg] for arg in node.nodes if self.stage[arg] == self.stage[node]]
            level[node] = max(same, default=0) + (node.op == "sum")
        return level

    def _loop_of(self, node: Node) -> tuple[int, int, int]:
        """Stage, level and width of the loop that computes a node; a sum is accumulated in the loop of its argument."""
        return self.stage[node], self.level[node] - (node.op == "sum"), _loop_width(node)

    def _across_loops(self) -> set[Node]:
        """Nodes that are read outside the loop that computes them, by another loop or a product."""
        kept = set()
        for node in self.order:
            for arg in node.nodes:
                if arg.op in ("leaf", "constant"):
                    continue
                if arg.width == 1:
                    needed = self.stage[arg] != self.stage[node]
                else:
                    needed = self._loop_of(arg) != self._loop_of(node)
                if needed:
                    kept.add(arg)
        for index in self.used:
            argument = self.function.products[index].argument
            late = self.stages.of_argument(index)
            for piece in argument.pieces:
                if piece.op not in ("leaf", "constant") and (argument.op != "concat" or self.stage[piece] != late):
                    kept.add(piece)
        return kept

    def text(self) -> str:
        number, products = self.layout.number, self.function.products
        state = range(len(self.function.state))
        self._line(f"static void {self.function.name}_rows(const Call& call, long thread, REAL* const* sums) {{")
        self._line("const long* n = call.n;")
        self._line("const Share share(call, thread);")
        self._line("const long count = share.count, longest = share.longest();")
        for name in self._row_buffers():
            self._line(f"REAL* const {name} = {self.layout.buffer(name)};")
        for index in self._vectors():
            self._line(f"const REAL* const vector{index} = {self.layout.buffer(f'vector{index}')};")
        for place, index in enumerate(self._summed()):
            self._line(f"REAL* const sum{index} = sums[{place}] + thread * {number(self.widths[f'vector{index}'])};")
        for k in state:
            width = number(self._state_width(k))
            self._line(f"Array<REAL> room{k}(2 * count * {width});")
            self._line(f"REAL *state{k} = room{k}.numbers, *next{k} = state{k} + count * {width};")
        for node in self.order:
            if node in self.kept:
                self._room(f"keep_{self.names[node]}", f"count * {number(node.width)}")
        for place, index in enumerate(self.used):
            width = number(products[index].width)
            self._line(f"const Packed& weight{index} = call.packed[{place}];")
            self._line(f"const long stride{index} = padded({width});")
            self._room(f"product{index}", f"count * stride{index}")
            if self._has_own_argument(index):
                self._room(f"argument{index}", f"count * {number(products[index].argument.width)}")
        self._steps()
        self._line("}")
        self._entry()
        return "\n".join(self.lines) + "\n"

    def _steps(self) -> None:
        state = range(len(self.function.state))
        first, end = self.function.first_and_last
        if self.function.backwards:
            self._copy_states("count", "share.lengths[r] == 0", first, end)
            self._line("long active = 0;")
            self._line("for (long t = longest - 1; t >= 0; t--) {")
            self._line("while (active < count && share.lengths[active] > t) {")
            self._line("const long r = active++, row = share.rows[r];")
            self._load_state(first)
            self._line("}")
        else:
            self._line("for (long r = 0; r < count; r++) { const long row = share.rows[r];")
            self._load_state(first)
            self._line("}")
            self._copy_states("count", "share.lengths[r] == 0", first, end)
            self._line("long active = count;")
            self._line("for (long t = 0; t < longest; t++) {")
            self._line("while (active && share.lengths[active - 1] <= t) active--;")
        for stage in range(1 + max(self.stage.values(), default=0)):
            self._stage(stage)
        for k in state:
            self._line(f"swap(state{k}, next{k});")
        if not self.function.backwards:
            self._line("for (long r = 0; r < active; r++) if (share.lengths[r] == t + 1) {")
            self._line("const long row = share.rows[r];")
            self._store_state(end)
            self._line("}")
        self._line("}")
        if self.function.backwards:
            self._line("for (long r = 0; r < active; r++) { const long row = share.rows[r];")
            self._store_state(end)
            self._line("}")

    def _load_state(self, name: str) -> None:
        for k in range(len(self.function.state)):
            width, buffer = self.layout.number(self._state_width(k)), self.layout.buffer(f"{name}{k}")
            self._line(f"copy({buffer} + row * {width}, {width}, state{k} + r * {width});")

    def _store_state(self, name: str) -> None:
        for k in range(len(self.function.state)):
            width, buffer = self.layout.number(self._state_width(k)), self.layout.buffer(f"{name}{k}")
            self._line(f"copy(state{k} + r * {width}, {width}, {buffer} + row * {width});")

    def _copy_states(self, count: str, condition: str, source: str, target: str) -> None:
        self._line(f"for (long r = 0; r < {count}; r++) if ({condition}) {{ const long row = share.rows[r];")
        for k in range(len(self.function.state)):
            width = self.layout.number(self._state_width(k))
            start, end = self.layout.buffer(f"{source}{k}"), self.layout.buffer(f"{target}{k}")
            self._line(f"copy({start} + row * {width}, {width}, {end} + row * {width});")
        self._line("}")

    def _stage(self, stage: int) -> None:
        """Write one stage: the loops over rows and their features, and the products whose arguments are complete."""
        loops, reductions = self._computations(stage)
        self._add_stores(stage, loops)
        if loops:
            self._write_loops(loops, reductions)
        for index in self.used:
            if self.stages.of_argument(index) == stage:
                place, stride = self._argument(index)
                self._line(f"multiply(active, {place}, {stride}, weight{index}, product{index}, stride{index});")

    def _computations(self, stage: int) -> tuple[Loops, Loops]:
        """The lines of each loop that compute the values of a stage, and the sums that each loop accumulates."""
        loops: Loops = {}
        reductions: Loops = {}

        def loop(node: Node) -> list[str]:
            _, level, width = self._loop_of(node)
            return loops.setdefault((level, width), [])

        for node in self.order:
            if self.stage[node] != stage or node.op in ("leaf", "constant"):
                continue
            name = self.names[node]
            if node.op == "sum":
                _, level, width = self._loop_of(node)
                reductions.setdefault((level, width), []).append(name)
                loop(node).append(f"{name} += {self._read(node.args[0], node)};")
                if node in self.kept:
                    loops.setdefault((level + 1, 1), []).append(f"keep_{name}[r] = {name};")
                continue
            text = EXPRESSIONS[node.op].format(*(self._read(arg, node) for arg in node.args))
            loop(node).append(f"const REAL {name} = {text};")
            if node in self.kept:
                place = "r" if node.width == 1 else f"r * {self.layout.number(node.width)} + j"
                loop(node).append(f"keep_{name}[{place}] = {name};")
        return loops, reductions

    def _add_stores(self, stage: int, loops: Loops) -> None:
        """Add the lines that store outputs, states, sums and arguments of products."""
        for buffer, offset, node in self.function.stores:
            if self.stage[node] == stage:
                self._loop_for_store(loops, node).append(
                    f"{buffer}_row[{self._at(offset, node)}] = {self._value(node)};"
                )
        for k, root in enumerate(self.function.state):
            offset = 0
            for node in root.pieces:
                if self.stage[node] == stage:
                    place = f"r * {self.layout.number(self._state_width(k))} + {self._at(offset, node)}"
                    self._loop_for_store(loops, node).append(f"next{k}[{place}] = {self._value(node)};")
                offset += node.width
        for index, offset, node in self.function.sums:
            if self.stage[node] == stage:
                self._loop_for_store(loops, node).append(
                    f"sum{index}[{self._at(offset, node)}] += {self._value(node)};"
                )
        for index in self.used:
            argument = self.function.products[index].argument
            if self._has_own_argument(index) and self.stages.of_argument(index) == stage:
                offset = 0
                for node in argument.pieces:
                    place = f"r * {self.layout.number(argument.width)} + {self._at(offset, node)}"
                    # some pieces may have been computed at an earlier stage
                    self._loop_for_store(loops, node, stage).append(
                        f"argument{index}[{place}] = {self._value(node, stage)};"
                    )
                    offset += node.width

    def _write_loops(self, loops: Loops, reductions: Loops) -> None:
        """Write the loop over rows, and in it the loops over features, in the order of their levels."""
        self._line("for (long r = 0; r < active; r++) {")
        self._line("const long padded_at = share.rows[r] * call.steps + t;")
        self._line("const long at = call.starts[share.rows[r]] + t;")
        for name in self._row_buffers():
            place = "padded_at" if name in PADDED else "at"
            self._line(f"REAL* const {name}_row = {name} + {place} * {self.layout.number(self.widths[name])};")
        for (level, width), lines in sorted(loops.items(), key=lambda item: (item[0][0], item[0][1] != 1, item[0][1])):
            if width == 1:
                for line in lines:
                    self._line(line)
                continue
            sums = reductions.get((level, width), [])
            for sum_name in sums:
                self._line(f"REAL {sum_name} = 0;")
            self._line("#pragma omp simd" + (f" reduction(+:{', '.join(sums)})" if sums else ""))
            self._line(f"for (long j = 0; j < {self.layout.number(width)}; j++) {{")
            for line in lines:
                self._line(line)
            self._line("}")
        self._line("}")

    def _loop_for_store(self, loops: Loops, node: Node, stage: int | None = None) -> list[str]:
        _, level, width = self._loop_of(node)
        if node.op == "sum":
            level, width = level + 1, 1
        if stage is not None and self.stage[node] != stage:
            level = 0
        return loops.setdefault((level, width), [])

    def _has_own_argument(self, index: int) -> bool:
        argument = self.function.products[index].argument
        return argument.op in ("concat", "constant") or (
            isinstance(argument, Leaf) and not self._is_whole_state(argument)
        )

    def _is_whole_state(self, node: Leaf) -> bool:
        kind, index, offset = node.source
        return kind == self.function.state_kind and offset == 0 and node.width == self._state_width(index)

    def _argument(self, index: int) -> tuple[str, str]:
        """The address of the argument of a product, and the stride of its rows."""
        argument = self.function.products[index].argument
        width = self.layout.number(argument.width)
        if self._has_own_argument(index):
            return f"argument{index}", width
        if isinstance(argument, Leaf):
            return f"state{argument.source.which}", width
        return f"keep_{self.names[argument]}", width

    def _read(self, arg: Node | float, reader: Node) -> str:
        if not isinstance(arg, Node):
            return _literal(arg)
        if arg.op not in ("leaf", "constant") and self._loop_of(arg) != self._loop_of(reader) and arg.width > 1:
            return f"keep_{self.names[arg]}[r * {self.layout.number(arg.width)} + j]"
        return self._value(arg, self.stage[reader])

    def _value(self, node: Node, stage: int | None = None) -> str:
        if isinstance(node, Leaf):
            return self._load(node)
        if stage is not None and stage != self.stage[node] and node.op != "constant":
            place = "r" if node.width == 1 else f"r * {self.layout.number(node.width)} + j"
            return f"keep_{self.names[node]}[{place}]"
        return _literal(node.value) if isinstance(node, Constant) else self.names[node]

    def _load(self, leaf: Leaf) -> str:
        kind, index, offset = leaf.source
        place = self._at(offset, leaf)
        if kind == "vector":
            return f"vector{index}[{place}]"
        if kind == "product":
            return f"product{index}[r * stride{index} + {place}]"
        if kind == self.function.state_kind:
            return f"state{index}[r * {self.layout.number(self._state_width(index))} + {place}]"
        if kind == "saved":
            return f"tape_row[{self._at(self.widths['saved' + str(index)] + offset, leaf)}]"
        return f"{kind}_row[{place}]"

    def _at(self, offset: int, node: Node) -> str:
        if node.width == 1:
            return self.layout.number(offset)
        return "j" if offset == 0 else f"{self.layout.number(offset)} + j"

    def _state_width(self, k: int) -> int:
        return self.widths[f"state{k}"]

    def _row_buffers(self) -> list[str]:
        names = {buffer for buffer, *_ in self.function.stores}
        for node in self.order:
            if isinstance(node, Leaf):
                kind = node.source.kind
                names |= {"tape"} if kind == "saved" else {kind} & {"projected", "grad_output"}
        return sorted(names)

    def _vectors(self) -> list[int]:
        return sorted({node.source.which for node in self.stages.leaves("vector")})

    def _entry(self) -> None:
        """Generate the function that Python calls."""
        products = self.function.products
        self._line(
            f'extern "C" void {self.function.name}(Parallel parallel, long rows, long steps, long threads,'
            " const long* n, const long* strides, const long* lengths, const long* order, const long* starts,"
            " REAL** buffers) {"
        )
        number = self.layout.number
        self._line("Call call{rows, steps, threads, n, strides, lengths, order, starts, buffers, nullptr};")
        weights = []
        for index in self.used:
            product = products[index]
            K, N = number(product.argument.width), number(product.width)  # noqa: N806
            row, column = 2 * product.weight, 2 * product.weight + 1
            if product.transposed:
                row, column = column, row
            buffer = self.layout.buffer(f"weight{product.weight}")
            weights.append(f"{{{buffer}, {K}, {N}, strides[{row}], strides[{column}]}}")
        if weights:
            self._line(f"const Packed packed[] = {{{', '.join(weights)}}};")
            self._line("call.packed = packed;")
        sums = [(index, number(self.widths[f"vector{index}"])) for index in self._summed()]
        for index, width in sums:
            self._line(f"Array<REAL> sum{index}(threads * {width});")
        self._line(f"REAL* const sums[] = {{{', '.join([*(f'sum{index}.numbers' for index, _ in sums), 'nullptr'])}}};")
        self._line(
            f"on_threads(parallel, threads, [&](long thread) {{ {self.function.name}_rows(call, thread, sums); }});"
        )
        for index, width in sums:
            # added up in the order of the threads, so that results are deterministic
            target = self.layout.buffer(f"grad_vector{index}")
            self._line(f"for (long i = 0; i < threads * {width}; i++) {target}[i % {width}] += sum{index}[i];")
        self._line("}")

    def _summed(self) -> list[int]:
        """The vectors whose gradients are accumulated over rows and steps."""
        return sorted({index for index, *_ in self.function.sums})

    def _room(self, name: str, size: str) -> None:
        self._line(f"Array<REAL> room_{name}({size});")
        self._line(f"REAL* const {name} = room_{name}.numbers;")

    def _line(self, text: str) -> None:
        self.lines.append(text)


def _loop_width(node: Node) -> int:
    return node.nodes[0].width if node.op == "sum" else node.width


def _literal(value: float) -> str:
    if value != value:
        return 'REAL(__builtin_nan(""))'
    if value in (float("inf"), float("-inf")):
        return f"REAL({'-' if value < 0 else ''}__builtin_inf())"
    return f"REAL({value!r})"
