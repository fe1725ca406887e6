"""Base class of cells over trees whose nodes have a limited number of children, with weights for each place, and of
cells over grids, whose nodes have two neighbours.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.transforms import jit_traced
from seqzoo.kernels.children import Children, TooManyChildren

MOST_CHILDREN = 1_000
"""Most places, each of which has weights of its own."""


class NaryCell(Cell):
    """Children have N places, from left to right. In a sequence, the previous step has the first one; in a grid, the
    node to the left has the first one, and the node above the second one.

    Parameters: `weight_ih` (GH, I) and `bias` (GH,) for G gates of the input, and `weight_hh` (RH, NH) for R gates of
    the children. Each (H, H) block of `weight_hh` is initialised orthogonal, divided by the root of N, so that the sum
    over children is as large as a state.

    Args:
        input_size, hidden_size: number of features per node, and of hidden units.
        children: N, the maximum number of children.

    Attributes:
        num_states: number of tensors (B, H) in the state.

    Raises:
        ValueError: `children` is below 1 or above MOST_CHILDREN.
    """

    num_states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, children: int = 2):
        super().__init__()
        if not 1 <= children <= MOST_CHILDREN:
            raise ValueError(f"children is {children}: it must be from 1 to {MOST_CHILDREN:,}")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.places = children
        of_input, of_children = self.num_gates(children)
        self.weight_ih = nn.Parameter(torch.empty(of_input * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(of_children * hidden_size, children * hidden_size))
        self.bias = nn.Parameter(torch.zeros(of_input * hidden_size))
        for gate in self.weight_ih.detach().chunk(of_input):
            nn.init.xavier_uniform_(gate)
        with torch.no_grad():
            for matrix in self.recurrent_matrices:
                matrix.copy_(nn.init.orthogonal_(torch.empty_like(matrix)) * children**-0.5)

    @staticmethod
    def num_gates(children: int) -> tuple[int, int]:
        """G and R."""
        return 1, 1

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """Views of the weights of the children, one matrix per gate and place."""
        rows = self.weight_hh.detach().split(self.hidden_size)
        return [block for row in rows for block in row.split(self.hidden_size, dim=1)]

    def initial_state(self, batch_size: int) -> State:
        return tuple(self.weight_hh.new_zeros(batch_size, self.hidden_size) for _ in range(self.num_states))

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    @abstractmethod
    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        """The equations of a node.

        Args:
            p: projected input, shape (M, P).
            *parts: the tensors of the state of the first k children, side by side, each (M, kH).

        Returns:
            The output (M, O) and the state of the node.
        """

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self.node(p, *state)

    def compose(self, p: Tensor, children: Children) -> tuple[Tensor, State]:
        return self.node(p, *(children.by_place(part, self.places) for part in children.state))

    def width(self, h: Tensor) -> int:
        """The width kH of the states of k children side by side. A trace, which has no numbers, is of a sequence."""
        return self.hidden_size if jit_traced() else h.shape[-1]

    def by_place(self, part: Tensor) -> tuple[Tensor, ...]:
        """The states of the first k children, (M, kH), as k tensors (M, H)."""
        return part.split(self.hidden_size, dim=-1) if self.width(part) else ()

    def add_children(self, p: Tensor, h: Tensor) -> Tensor:
        """Add the part of the first k children to that of the input, for all gates: (M, RH) and (M, kH) -> (M, RH)."""
        width = self.width(h)
        if width == 0:
            return p
        # a slice of all columns would cost a copy of their gradient
        return p + F.linear(h, self.weight_hh if width == self.places * self.hidden_size else self.weight_hh[:, :width])


def check_places(network: nn.Module, children: int, cell: str = "the cell") -> None:
    """Raise TooManyChildren if a cell of a network has fewer places than this number of children.

    Args:
        network: a backbone or a model.
        children: the largest number of children of a node.
        cell: its name for the message.
    """
    for module in network.modules():
        if isinstance(module, NaryCell) and module.places < children:
            raise TooManyChildren(children, module.places, cell)
