"""What cells share whose recurrence is a function of a skew-symmetric matrix A = -A^T."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State
from seqzoo.kernels.unroll import unroll


class SkewCell(DrivenCell):
    """`skew` (H (H - 1) / 2,): A above its diagonal, row by row. A subclass says which matrix the recurrence takes from
    it (`recurrence`) and what a step is with that (`advance`); over a sequence the matrix is computed once.
    """

    torch_first = ()  # it goes step by step

    def __init__(self, input_size: int, hidden_size: int, num_parts: int = 1):
        super().__init__(input_size, hidden_size, num_parts)
        self.skew = nn.Parameter(torch.empty(hidden_size * (hidden_size - 1) // 2))

    @abstractmethod
    def recurrence(self) -> Tensor:
        """(H, H)"""

    @abstractmethod
    def advance(self, p: Tensor, state: State, matrix: Tensor) -> tuple[Tensor, State]:
        """A step with the matrix of `recurrence`."""

    @property
    def above_diagonal(self) -> tuple[Tensor, Tensor]:
        """Row and column of each number of `skew`."""
        rows, columns = torch.triu_indices(self.hidden_size, self.hidden_size, 1, device=self.skew.device).unbind()
        return rows, columns

    def skew_matrix(self) -> Tensor:
        """A, (H, H)"""
        upper = self.skew.new_zeros(self.hidden_size, self.hidden_size).index_put(self.above_diagonal, self.skew)
        return upper - upper.mT

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self.advance(p, state, self.recurrence())

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        matrix = self.recurrence()
        return unroll(lambda p, carried: self.advance(p, carried, matrix), self.project(x), state, lengths)
