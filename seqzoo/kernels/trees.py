"""A cell over trees: all nodes of a batch that have the same height are computed at once, from the leaves to the roots.

Goller & Küchler, Learning Task-Dependent Distributed Representations by Backpropagation Through Structure, 1996,
https://doi.org/10.1109/ICNN.1996.548916
Looks et al., Deep Learning with Dynamic Computation Graphs, 2017 (batching by height), https://arxiv.org/abs/1702.02181
"""

from __future__ import annotations

from functools import cached_property

import numpy
import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import WHOLE_NUMBERS, checked_lengths
from seqzoo.contracts.state import flatten, joined, reorder, unflatten, where
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import jit_traced, mapped_over, on_host
from seqzoo.kernels import step_results
from seqzoo.kernels.children import Children, node_by_node
from seqzoo.kernels.stepping import Stepping
from seqzoo.kernels.tree_levels import Array, Level, Order, depths, heights, levels_of, places_of_parents


class Forest:
    """The trees of the rows of a batch.

    The time and memory of a scan are linear in the number of nodes. On a GPU, the parents are read on the host, which
    requires a synchronisation.

    Args:
        x: input of the nodes, (B, T, ...).
        steps: lengths and parents.

    Raises:
        ValueError: parents or lengths have a wrong shape, type, device or value, or no values (tracing, meta device).
    """

    def __init__(self, x: Tensor, steps: Steps):
        self.shape, self.device = (x.shape[0], x.shape[1]), x.device
        parents, lengths = self._parents, self._lengths = _checked(steps, x)
        real = numpy.arange(self.shape[1]) < lengths[:, None]
        # nodes are counted over all rows, without padding
        self._step = real.ravel().nonzero()[0]
        self._row = self._step // max(1, self.shape[1])
        ends = numpy.cumsum(lengths)
        self._last = ends - 1
        self._first = ends - lengths
        self._empty = lengths == 0
        above = parents.ravel()[self._step]
        self._parent = numpy.where(above < 0, -1, above + self._first[self._row])

    def run(self, cell: Stepping, x: Tensor, state: State | None, downwards: bool = False) -> tuple[Tensor, State]:
        """`up` or `down`."""
        return self.down(cell, x, self._given(cell, state)) if downwards else self.up(cell, x, state)

    def up(self, cell: Stepping, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run a cell from the leaves to the roots.

        Args:
            cell: composes the states of children.
            x: input of the nodes, (B, T, I).
            state: (B, ...), from which each leaf of a row starts; None: the initial state.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state of the last node of each row, its root.
        """
        if not len(self._parent):
            return x.new_zeros(*self.shape, cell.output_size), self._given(cell, state)
        order, steps, starting_rows, levels, ends = self._upward
        outputs, waiting = [], [[] for _ in range(len(levels) + 1)]  # type: ignore[var-annotated]
        for number, (level, p) in enumerate(zip(levels, self._project(cell, x, steps, order.counts), strict=True)):
            if number == 0 and state is not None:
                output, after = step_results.step(cell, p, reorder(state, starting_rows))
            else:
                below, waiting[number] = joined(waiting[number] or [cell.initial_state(0)]), []
                below = below if level.order is None else reorder(below, level.order)
                children = Children(below, level.node, level.place, order.counts[number], level.each)
                output, after = step_results.compose(cell, p, children)
            outputs.append(output)
            pieces = zip(*(part.split(level.sizes) for part in flatten(after)), strict=True)
            for destination, piece in zip(level.destinations, pieces, strict=True):
                waiting[destination].append(unflatten(list(piece), after))
        return self._arrange(outputs, order), self._leave(joined(waiting[-1]), ends, self._given(cell, state))

    def down(self, cell: Stepping, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run a cell from the roots to the leaves: the state of each node follows that of its parent.

        Args:
            cell: of any kind.
            x: input of the nodes, (B, T, I).
            state: (B, ...), from which the roots of a row start.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state of the first node of each row.
        """
        if not len(self._parent):
            return x.new_zeros(*self.shape, cell.output_size), state
        order, steps, starting_rows, parents, ends = self._downward
        outputs, states, after = [], [], state
        for number, p in enumerate(self._project(cell, x, steps, order.counts)):
            before = reorder(after, parents[number - 1] if number else starting_rows)
            output, after = step_results.step(cell, p, before, with_types=number == 0)
            outputs.append(output)
            states.append(after)
        return self._arrange(outputs, order), self._leave(joined(states), ends, state)

    def unroll(self, cell: Stepping, x: Tensor, state: State) -> tuple[Tensor, State]:
        """`up` one node after the other, the reference."""
        children: list[list[dict[int, int]]] = []
        for above, length in zip(self._parents.tolist(), self._lengths.tolist(), strict=True):
            children.append([{} for _ in range(length)])
            for node, parent in enumerate(above[:length]):
                if parent >= 0:
                    children[-1][parent][len(children[-1][parent])] = node
        return node_by_node(cell, x, state, self._lengths, children)

    def _given(self, cell: Stepping, state: State | None) -> State:
        return step_results.first_state(cell, self.shape[0]) if state is None else state

    @cached_property
    def _depth(self) -> Array:
        return depths(self._parent)

    @cached_property
    def _upward(self) -> tuple[Order, Tensor, Tensor, list[Level], Tensor]:
        """The order of the nodes from the leaves up, their steps, the rows of the leaves, the levels, and the last node
        of each row among all roots.
        """
        height = heights(self._parent, self._depth)
        order, levels, roots = levels_of(self._parent, height)
        ends = numpy.where(self._empty, 0, roots[self._last])
        leaves = order.nodes[: order.counts[0]]
        steps, rows = self._tensor(self._step[order.nodes]), self._tensor(self._row[leaves])
        return order, steps, rows, list(map(self._on_device, levels)), self._tensor(ends)

    @cached_property
    def _downward(self) -> tuple[Order, Tensor, Tensor, list[Tensor], Tensor]:
        """The order of the nodes from the roots down, their steps, the rows of the roots, for each level but the first
        the places of the parents in the one before, and the first node of each row.
        """
        order = Order.by(self._depth)
        first = order.position[numpy.minimum(self._first, len(self._parent) - 1)]
        parents = self._tensor(places_of_parents(self._parent, self._depth, order)).split(order.counts[1:])
        roots = order.nodes[: order.counts[0]]
        steps, rows = self._tensor(self._step[order.nodes]), self._tensor(self._row[roots])
        return order, steps, rows, list(parents), self._tensor(first)

    def _project(self, cell: Stepping, x: Tensor, steps: Tensor, counts: list[int]) -> tuple[Tensor, ...]:
        """The projected inputs of the nodes of each level."""
        return step_results.project(cell, x.flatten(0, 1).index_select(0, steps)).split(counts)

    def _arrange(self, outputs: list[Tensor], order: Order) -> Tensor:
        """The outputs of all levels in the order of the steps, (B, T, O)."""
        arrangement = numpy.full(self.shape[0] * self.shape[1], len(self._parent))  # that of a row of zeros
        arrangement[self._step] = order.position
        padding = outputs[0].new_zeros(1, outputs[0].shape[1])
        return torch.cat([*outputs, padding]).index_select(0, self._tensor(arrangement)).unflatten(0, self.shape)

    def _leave(self, states: State, ends: Tensor, state: State) -> State:
        """The states after rows, (B, ...); those of empty rows do not change."""
        after = reorder(states, ends)
        return where(self._tensor(~self._empty), after, state) if self._empty.any() else after

    def _on_device(self, level: Level) -> Level:
        arriving = None if level.order is None else self._tensor(level.order)
        return level._replace(node=self._tensor(level.node), place=self._tensor(level.place), order=arriving)

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def _checked(steps: Steps, x: Tensor) -> tuple[Array, Array]:
    """Parents and lengths on the host, which no transform of torch sees. Raises ValueError."""
    parents, rows, nodes = steps.parents, x.shape[0], x.shape[1]
    if steps.resets is not None or steps.elapsed is not None:
        raise ValueError("resets and elapsed time are of sequences, and parents of trees: give one of them")
    if not isinstance(parents, Tensor) or parents.dtype not in WHOLE_NUMBERS:
        kind = parents.dtype if isinstance(parents, Tensor) else f"a {type(parents).__name__}"
        raise ValueError(f"parents are {kind}: they must be a tensor of integers, -1 at a root")
    mapped = any(isinstance(part, Tensor) and mapped_over(part) for part in (parents, steps.lengths))
    if parents.is_meta or jit_traced() or torch.compiler.is_exporting() or mapped:
        raise ValueError(
            "nodes are put in order by the values of parents and lengths, which are not available while tracing or "
            "exporting, under vmap or on the meta device"
        )
    if parents.shape != (rows, nodes):
        raise ValueError(f"parents are {tuple(parents.shape)}: the input has {rows} rows of {nodes} nodes")
    if parents.device != x.device:
        raise ValueError(f"parents are on {parents.device} and the input on {x.device}: move one to the other")
    lengths = numpy.full(rows, nodes)
    if steps.lengths is not None:
        lengths = on_host(checked_lengths(steps.lengths, x.shape, x.device))
    above, node = on_host(parents), numpy.arange(nodes)
    wrong = (node < lengths[:, None]) & (above != -1) & ((above <= node) | (above >= lengths[:, None]))
    if wrong.any():
        row, child = (int(place[0]) for place in wrong.nonzero())
        raise ValueError(
            f"row {row}: the parent of node {child} is {above[row, child]}, but children come before their "
            f"parents: it must be between {child + 1} and {lengths[row] - 1}, or -1 at a root"
        )
    return above, lengths
