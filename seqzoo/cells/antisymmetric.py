"""Antisymmetric recurrent network: Euler steps of a stable differential equation.

Chang, Chen, Haber & Chi, AntisymmetricRNN: A Dynamical System View on Recurrent Neural Networks, 2019,
https://arxiv.org/abs/1902.09689

    M = A - gamma I,  A = -A^T
    z = sigmoid(W_z x + M h + b_z)
    h' = h + epsilon z * tanh(W x + M h + b)

without gating: z = 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.skew import SkewCell
from seqzoo.contracts.batch import State


class Antisymmetric(SkewCell):
    """State: (h,), (B, H). Projected input: h, z. The paper's A is W - W^T, which has H (H - 1) / 2 free entries; these
    are the parameters. They are initialised as W - W^T with W normal of variance 1 / H.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        epsilon: step size of the Euler method.
        gamma: diffusion coefficient; compensates for the growth of the state under the Euler method.
        gating: gated variant, whose gate z uses the same M; False: without a gate.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        epsilon: float = 0.1,
        gamma: float = 0.01,
        gating: bool = True,
    ):
        if epsilon <= 0:
            raise ValueError(f"epsilon is {epsilon}: it must be above 0")
        if gamma < 0:
            raise ValueError(f"gamma is {gamma}: it must be at least 0")
        super().__init__(input_size, hidden_size, num_parts=2 if gating else 1)
        self.epsilon, self.gamma, self.gating = epsilon, gamma, gating
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.normal_(self.skew, std=(2 / self.hidden_size) ** 0.5)

    def recurrence(self) -> Tensor:
        """M, (H, H)"""
        matrix = self.skew_matrix()
        return matrix - self.gamma * torch.eye(self.hidden_size, dtype=matrix.dtype, device=matrix.device)

    def advance(self, p: Tensor, state: State, matrix: Tensor) -> tuple[Tensor, State]:
        (h,) = state
        recurrent = F.linear(h, matrix)
        if self.gating:
            x_h, x_z = p.chunk(2, dim=-1)
            h = h + self.epsilon * torch.sigmoid(x_z + recurrent) * torch.tanh(x_h + recurrent)
        else:
            h = h + self.epsilon * torch.tanh(p + recurrent)
        return h, (h,)
