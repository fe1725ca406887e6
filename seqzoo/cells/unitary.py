"""Recurrent network with an orthogonal recurrent matrix (real unitary), the exponential of a skew-symmetric matrix.

Lezcano-Casado & Martinez-Rubio, Cheap Orthogonal Constraints in Neural Networks: A Simple Parametrization of the
Orthogonal and Unitary Group, 2019 (expRNN), https://arxiv.org/abs/1901.08428
Arjovsky, Shah & Bengio, Unitary Evolution Recurrent Neural Networks, 2016 (modReLU), https://arxiv.org/abs/1511.06464
Henaff, Szlam & LeCun, Recurrent Orthogonal Networks and Long-Memory Tasks, 2016, https://arxiv.org/abs/1602.06662
Helfrich, Willmott & Ye, Orthogonal Recurrent Neural Networks with Scaled Cayley Transform, 2018,
https://arxiv.org/abs/1707.09520

    Q = exp(A),  A = -A^T, so that Q^T Q = I
    a = W x + Q h
    h' = modReLU(a) = sign(a) * relu(|a| + b)
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.skew import SkewCell
from seqzoo.contracts.batch import State


class Unitary(SkewCell):
    """State: (h,), (B, H). The only `bias` is that of modReLU, initialised uniform in +-0.01.

    Q remains orthogonal under any update of A (its learning rate in the paper is a tenth of that of other parameters).
    The exponential is computed once per sequence, or at every call if the cell is called step by step.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        initialisation: rotation angles of the pairs of units 2k, 2k + 1 in A: henaff: uniform in +-pi; cayley: -tan(u /
            2) with u uniform in 0..pi/2.
    """

    def __init__(self, input_size: int, hidden_size: int, initialisation: Literal["henaff", "cayley"] = "henaff"):
        super().__init__(input_size, hidden_size)
        self.initialisation = initialisation
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.uniform_(self.bias, -0.01, 0.01)
        angles = torch.empty_like(self.skew).detach()
        if self.initialisation == "henaff":
            angles.uniform_(-math.pi, math.pi)
        else:
            angles.uniform_(0, math.pi / 2).div_(2).tan_().neg_()
        rows, columns = self.above_diagonal
        with torch.no_grad():
            self.skew.copy_(torch.where((rows % 2 == 0) & (columns == rows + 1), angles, 0))

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., H)"""
        return F.linear(x, self.weight_ih)

    def recurrence(self) -> Tensor:
        """Q, (H, H)"""
        matrix = self.skew_matrix()
        # the exponential is not available in half precision, in which Q would not be orthogonal either
        exact = matrix if matrix.dtype == torch.float64 else matrix.float()
        return torch.matrix_exp(exact).to(matrix.dtype)

    def advance(self, p: Tensor, state: State, matrix: Tensor) -> tuple[Tensor, State]:
        (h,) = state
        a = p + F.linear(h, matrix)
        h = torch.sign(a) * torch.relu(a.abs() + self.bias)
        return h, (h,)
