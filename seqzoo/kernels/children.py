"""The states that a node is computed from: those of its children in a tree, or of its neighbours in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.state import joined, reorder
from seqzoo.kernels import step_results
from seqzoo.kernels.stepping import Stepping


class TooManyChildren(DataError, ValueError):
    """A node has more children than a cell has places."""

    def __init__(self, count: int, places: int, cell: str = "the cell"):
        super().__init__(
            f"a node has {count} children, and {cell} has places for {places}: set cell.children={count} if the cell "
            "has this option, or choose one that sums over children, such as cell=child_sum_tree_lstm"
        )


@dataclass(frozen=True)
class Children:
    """The C children of M nodes; those of a node are side by side, in their order. The children of a node of a grid are
    the nodes to the left and above, with a state of zeros in place of one that is not there.

    Attributes:
        state: of each child, (C, ...).
        node: (C,), the node that each child belongs to, from 0 to M - 1.
        place: (C,), the place of each child among those of its node, from 0.
        count: M.
        each: the number of children of every node; 0: the nodes are leaves; None: it differs, or is not known.
        share: (M,), the factor of each sum over children; None: 1.
    """

    state: State
    node: Tensor
    place: Tensor
    count: int
    each: int | None = None
    share: Tensor | None = None

    def combined(self, values: Tensor) -> Tensor:
        """The sum over the children of each node, or in a grid their mean: (C, ...) -> (M, ...)."""
        if self.each == 1:
            total = values
        elif self.each:
            total = values.unflatten(0, (self.count, self.each)).sum(1, dtype=values.dtype)
        else:
            total = values.new_zeros(self.count, *values.shape[1:]).index_add(0, self.node, values)
        if self.share is None:
            return total
        return total * self.share.to(total.dtype).view(-1, *[1] * (total.dim() - 1))

    def of_nodes(self, values: Tensor) -> Tensor:
        """The values of each child's node: (M, ...) -> (C, ...)."""
        return values if self.each == 1 else values.index_select(0, self.node)

    def by_place(self, values: Tensor, places: int) -> Tensor:
        """The values of each node's children side by side: (C, F) -> (M, k * F).

        Args:
            values: of each child.
            places: the maximum number of children.

        Returns:
            k is `each`, if it is known, and `places` otherwise, with zeros where there is no child.

        Raises:
            TooManyChildren: a node has more children than there are places; a ValueError.
        """
        most = int(self.place.max()) + 1 if self.each is None else self.each
        if most > places:
            raise TooManyChildren(most, places)
        if self.each is not None:
            return values.reshape(self.count, self.each * values.shape[1])
        empty = values.new_zeros(self.count * places, values.shape[1])
        return empty.index_copy(0, self.node * places + self.place, values).view(self.count, -1)


def node_by_node(
    cell: Stepping,
    x: Tensor,
    state: State,
    lengths: numpy.ndarray,
    children: Sequence[Sequence[dict[int, int]]],
    averaged: bool = False,
) -> tuple[Tensor, State]:
    """Run a cell over trees or grids one node after the other, the reference.

    Args:
        cell: composes the states of children.
        x: input of the nodes, (B, T, I).
        state: (B, ...), from which the nodes of a row without children start.
        lengths: number of nodes of each row, (B,).
        children: of each node of each row: the earlier nodes by their places.
        averaged: whether states are averaged, and not summed, where a cell has no weights for places.

    Returns:
        Outputs (B, T, O), zero at padded steps, and the state of the last node of each row.
    """
    projected = step_results.project(cell, zero_padding(x, torch.from_numpy(lengths).to(x.device)))
    rows, last = [], []
    for row, length in enumerate(lengths.tolist()):
        given = reorder(state, torch.tensor([row], device=x.device))
        outputs: list[Tensor] = []
        states: list[State] = []
        for node in range(length):
            p, places = projected[row : row + 1, node], children[row][node]
            if places:
                place = torch.tensor([*places], device=x.device)
                share = x.new_tensor([1 / len(places)]) if averaged else None
                below = joined([states[child] for child in places.values()])
                nodes = Children(below, torch.zeros_like(place), place, 1, share=share)
                output, after = step_results.compose(cell, p, nodes)
            else:
                output, after = step_results.step(cell, p, given)
            outputs.append(output)
            states.append(after)
        padding = x.new_zeros(x.shape[1] - length, cell.output_size)
        rows.append(torch.cat([*outputs, padding]))
        last.append(states[-1] if states else given)
    return torch.stack(rows), joined(last)
