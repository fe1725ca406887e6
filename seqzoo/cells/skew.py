"""Base class of cells whose recurrent matrix is a function of a skew-symmetric matrix A = -A^T."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State
from seqzoo.kernels.unroll import unroll


class SkewCell(DrivenCell):
    """Parameter `skew` (H (H - 1) / 2,): the entries of A above the diagonal, row by row.

    Subclasses define the recurrent matrix (`recurrence`), which is computed once per sequence, and a step with it
    (`advance`).
    """

    torch_first = ()  # torch_scan runs step by step

    def __init__(self, input_size: int, hidden_size: int, num_parts: int = 1):
        super().__init__(input_size, hidden_size, num_parts)
        self.skew = nn.Parameter(torch.empty(hidden_size * (hidden_size - 1) // 2))

    @abstractmethod
    def recurrence(self) -> Tensor:
        """The recurrent matrix, (H, H)."""

    @abstractmethod
    def advance(self, p: Tensor, state: State, matrix: Tensor) -> tuple[Tensor, State]:
        """One step with the matrix from `recurrence`."""

    @property
    def above_diagonal(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of the entries of `skew`."""
        rows, columns = torch.triu_indices(self.hidden_size, self.hidden_size, 1, device=self.skew.device).unbind()
        return rows, columns

    def skew_matrix(self) -> Tensor:
        """A, (H, H)"""
        upper = self.skew.new_zeros(self.hidden_size, self.hidden_size).index_put(self.above_diagonal, self.skew)
        return upper - upper.mT

    def fix(self) -> None:
        """Compute the recurrent matrix for the last time: its parameters will not change."""
        self.register_buffer("fixed", self.recurrence().detach(), persistent=False)

    def current_recurrence(self) -> Tensor:
        """`recurrence`, or the matrix that was fixed."""
        fixed = self._buffers.get("fixed")
        return self.recurrence() if fixed is None else fixed

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self.advance(p, state, self.current_recurrence())

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        matrix = self.current_recurrence()
        return unroll(lambda p, carried: self.advance(p, carried, matrix), self.project(x), state, lengths)
