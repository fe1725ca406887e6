"""A cell over grids: the state of a node follows from those to the left and above. All nodes of a diagonal are computed
at once, so that a grid of Y rows and X columns takes Y + X - 1 steps.

Graves, Fernández & Schmidhuber, Multi-Dimensional Recurrent Neural Networks, 2007, https://arxiv.org/abs/0705.2011
van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016 (diagonals),
https://arxiv.org/abs/1601.06759
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import WHOLE_NUMBERS, checked_lengths, zero_padding
from seqzoo.contracts.state import joined, map_state, reorder, where
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import jit_traced, mapped_over, on_host
from seqzoo.kernels import step_results
from seqzoo.kernels.children import Children, node_by_node
from seqzoo.kernels.stepping import Stepping


class _Diagonal(NamedTuple):
    """The nodes from row `first` to row `last` of all grids of a batch; those of a row are side by side.

    Attributes:
        first, last: rows.
        on_top: whether the first of them is in the upper row of the grid.
        on_left: whether the last of them is in the left column.
    """

    first: int
    last: int
    on_top: bool
    on_left: bool


class Grids:
    """The grids of the rows of a batch.

    Smaller grids are computed as parts of the largest one. Their sizes are read on the host, which requires a
    synchronisation with a GPU, unless all have the same size and it is given as numbers.

    Args:
        x: input of the nodes, (B, T, ...).
        steps: lengths and grid.

    Raises:
        ValueError: the grid or lengths have a wrong shape, type, device or value, or no values (tracing, meta device).
    """

    def __init__(self, x: Tensor, steps: Steps):
        self.shape, self.device = (x.shape[0], x.shape[1]), x.device
        self._sizes = _checked(steps, x)
        self._lengths = self._sizes.prod(1)
        self._whole = bool((self._lengths == self.shape[1]).all())
        self.rows, self.columns = (int(numbers.max(initial=0)) for numbers in self._sizes.T)
        # the nodes of the largest grid, diagonal after diagonal, each from above
        down, right = numpy.divmod(numpy.arange(self.rows * self.columns), max(1, self.columns))
        order = numpy.lexsort((down, down + right))
        self._down, self._right = down[order], right[order]
        self._position = numpy.empty_like(order)
        self._position[order] = numpy.arange(len(order))

    def run(
        self, cell: Stepping, x: Tensor, state: State | None, from_below: bool = False, from_right: bool = False
    ) -> tuple[Tensor, State]:
        """Run a cell from a corner to the opposite one, by default from the upper left.

        Args:
            cell: composes the states of a node's neighbours.
            x: input of the nodes, (B, T, I).
            state: (B, ...), from which the first node of each grid starts; None: the initial state.
            from_below: start in the last row.
            from_right: start in the last column.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state of the last node of each grid.
        """
        batch = self.shape[0]
        if not self.rows * self.columns or not batch:
            given = step_results.first_state(cell, batch) if state is None else state
            return x.new_zeros(*self.shape, cell.output_size), given
        if not self._whole:
            x = zero_padding(x, self._tensor(self._lengths))
        nodes = self._nodes(from_below, from_right)
        projected = step_results.project(cell, x.flatten(0, 1).index_select(0, self._tensor(nodes)))
        diagonals = [self._diagonal(number) for number in range(self.rows + self.columns - 1)]
        counts = [batch * (last - first + 1) for first, last, *_ in diagonals]
        of_nodes = numpy.arange(max(counts))
        node, place = (self._tensor(part) for part in (numpy.repeat(of_nodes, 2), numpy.tile([0, 1], len(of_nodes))))
        neighbours = numpy.maximum(1, (self._down > 0) * 1.0 + (self._right > 0))
        shares = self._tensor(numpy.repeat(1 / neighbours, batch).astype(numpy.float32)).split(counts)
        ends, outputs, left = self._ends(), [], []
        after = cell.initial_state(0) if state is None else state
        for number, (diagonal, p, share) in enumerate(zip(diagonals, projected.split(counts), shares, strict=True)):
            if number or state is None:
                # of each node both neighbours, with zeros for those outside the grid; of the first node none
                each = 2 if number else 0
                beside = map_state(partial(_neighbours, diagonal, batch), after) if number else after
                length = each * counts[number]
                children = Children(beside, node[:length], place[:length], counts[number], each, share)
                output, after = step_results.compose(cell, p, children)
            else:
                output, after = step_results.step(cell, p, after)
            outputs.append(output)
            if number in ends:
                left.append(reorder(after, self._tensor(ends[number])))
        return self._arrange(torch.cat(outputs), from_below, from_right), self._leave(cell, joined(left), state)

    def unroll(self, cell: Stepping, x: Tensor, state: State) -> tuple[Tensor, State]:
        """`run` from the upper left corner, one node after the other, the reference."""
        children: list[list[dict[int, int]]] = []
        for rows, columns in self._sizes.tolist():
            children.append([{} for _ in range(rows * columns)])
            for node, places in enumerate(children[-1]):
                if node % columns:
                    places[0] = node - 1
                if node >= columns:
                    places[1] = node - columns
        return node_by_node(cell, x, state, self._lengths, children, averaged=True)

    def _diagonal(self, number: int) -> _Diagonal:
        first, last = max(0, number - self.columns + 1), min(self.rows - 1, number)
        return _Diagonal(first, last, first == 0, last == number)

    def _nodes(self, from_below: bool, from_right: bool) -> numpy.ndarray:
        """The steps of all rows, counted over the batch, in the order of the diagonals. Nodes outside a grid, on which
        none inside depends, read its first step.
        """
        rows, columns = self._sizes.T
        down, right = self._down[:, None], self._right[:, None]
        inside = (down < rows) & (right < columns)
        down = rows - 1 - down if from_below else down
        right = columns - 1 - right if from_right else right
        return (numpy.arange(len(rows)) * self.shape[1] + numpy.where(inside, down * columns + right, 0)).ravel()

    def _arrange(self, outputs: Tensor, from_below: bool, from_right: bool) -> Tensor:
        """Outputs in the order of the steps, (B, T, O)."""
        rows, columns = self._sizes.T[:, :, None]
        down, right = numpy.divmod(numpy.arange(self.shape[1]), numpy.maximum(1, columns))
        inside = numpy.arange(self.shape[1]) < self._lengths[:, None]
        down = rows - 1 - down if from_below else down
        right = columns - 1 - right if from_right else right
        node = numpy.where(inside, down * self.columns + right, 0)
        arrangement = self._position[node] * len(rows) + numpy.arange(len(rows))[:, None]
        if not self._whole:
            arrangement[~inside] = len(outputs)
            outputs = torch.cat([outputs, outputs.new_zeros(1, outputs.shape[1])])
        return outputs.index_select(0, self._tensor(arrangement.ravel())).unflatten(0, self.shape)

    def _ends(self) -> dict[int, numpy.ndarray]:
        """For each diagonal on which grids end, the places of their last nodes."""
        rows, columns = self._sizes.T
        ends = numpy.where(self._lengths > 0, rows + columns - 2, -1)
        places = {}
        for number in numpy.unique(ends[ends >= 0]).tolist():
            [grids] = (ends == number).nonzero()
            places[number] = (rows[grids] - 1 - self._diagonal(number).first) * len(rows) + grids
        return places

    def _leave(self, cell: Stepping, states: State, state: State | None) -> State:
        """The states after rows, (B, ...), from those of grids in the order in which they end; rows without a grid keep
        theirs.
        """
        ends = numpy.where(self._lengths > 0, self._sizes.sum(1), self.rows + self.columns + 1)
        order = numpy.argsort(numpy.argsort(ends, kind="stable"), kind="stable")
        empty = self._lengths == 0
        order[empty] = 0
        after = reorder(states, self._tensor(order))
        if not empty.any():
            return after
        given = step_results.first_state(cell, self.shape[0]) if state is None else state
        return where(self._tensor(~empty), after, given)

    def _tensor(self, array: numpy.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def _neighbours(diagonal: _Diagonal, batch: int, part: Tensor) -> Tensor:
    """A tensor of the states to the left and above each node of a diagonal, from that of the previous diagonal."""
    size = (diagonal.last - diagonal.first + 1) * batch
    if diagonal.on_top or diagonal.on_left:
        part = F.pad(part, [*[0, 0] * (part.dim() - 1), batch * diagonal.on_top, batch * diagonal.on_left])
    return torch.stack([part[len(part) - size :], part[:size]], 1).flatten(0, 1)


def _checked(steps: Steps, x: Tensor) -> numpy.ndarray:
    """The sizes of all grids on the host, (B, 2). Raises ValueError."""
    grid, batch, length = steps.grid, x.shape[0], x.shape[1]
    if any(part is not None for part in (steps.resets, steps.elapsed, steps.parents)):
        raise ValueError("resets and elapsed time are of sequences, and parents of trees: give one of them, or a grid")
    if jit_traced():
        raise ValueError("torch.jit.trace does not support grids, whose order depends on their size")
    if isinstance(grid, Tensor):
        return _checked_sizes(grid, steps.lengths, x)
    if not isinstance(grid, tuple) or len(grid) != 2 or not all(isinstance(number, int) for number in grid):
        raise ValueError(
            f"grid is {grid!r:.60}: give the numbers of its rows and columns, as a pair or a tensor (B, 2)"
        )
    rows, columns = grid
    if min(grid) < 0 or rows * columns != length:
        raise ValueError(
            f"a grid of {rows:,} x {columns:,} has {rows * columns:,} nodes: the input has {length:,} steps"
        )
    if steps.lengths is not None:
        raise ValueError("with lengths, rows have grids of different sizes: give grid as a tensor (B, 2)")
    return numpy.full((batch, 2), grid)


def _checked_sizes(grid: Tensor, lengths: Tensor | None, x: Tensor) -> numpy.ndarray:
    batch, length = x.shape[0], x.shape[1]
    if grid.dtype not in WHOLE_NUMBERS or grid.shape != (batch, 2):
        raise ValueError(
            f"grid is {grid.dtype} of shape {tuple(grid.shape)}: it must be integers ({batch}, 2), the numbers of rows "
            "and columns of each grid"
        )
    mapped = any(isinstance(part, Tensor) and mapped_over(part) for part in (grid, lengths))
    if grid.is_meta or torch.compiler.is_exporting() or mapped:
        raise ValueError(
            "nodes are put in order by the values of grid, which are not available while exporting, under "
            "vmap or on the meta device: give a pair of numbers, if all grids are equal"
        )
    if grid.device != x.device:
        raise ValueError(f"grid is on {grid.device} and the input on {x.device}: move one to the other")
    sizes = on_host(grid)
    given = numpy.full(batch, length) if lengths is None else on_host(checked_lengths(lengths, x.shape, x.device))
    wrong = (sizes < 0).any(1) | (sizes.prod(1) != given)
    if wrong.any():
        row = int(wrong.argmax())
        rows, columns = sizes[row].tolist()
        raise ValueError(
            f"row {row}: a grid of {rows:,} x {columns:,} has {rows * columns:,} nodes, and the row has "
            f"{given[row]:,} steps"
        )
    return sizes
