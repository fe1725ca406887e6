"""Long expressive memory: two coupled differential equations with learned time steps.

Rusch, Mishra, Erichson & Mahoney, Long Expressive Memory for Sequence Modeling, 2022, https://arxiv.org/abs/2110.04744

    d = dt sigmoid(W_d x + U_d y + b_d)
    e = dt sigmoid(W_e x + U_e y + b_e)
    z' = (1 - d) * z + d * tanh(W_z x + U_z y + b_z)
    y' = (1 - e) * y + e * tanh(W_y x + U_y z' + b_y)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.split import SplitGatedCell
from seqzoo.contracts.batch import State


class LEM(SplitGatedCell):
    """State: (y, z), both (B, H); the output is y. Gates d e z y.

    All weights and biases are initialised uniform in +-1 / sqrt(H), as in the authors' code.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        dt: maximum time step (Delta t); above 1, y and z are no longer bounded by 1.
        layer_norm: layer normalisation of W x and of the products with y and with z'.
        activation: activation instead of both tanh.
    """

    gates = ("d", "e", "z", "y")
    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, dt: float = 1.0, **options: Any):
        if dt <= 0:
            raise ValueError(f"dt is {dt}: it must be above 0")
        self.dt = dt
        super().__init__(input_size, hidden_size, **options)

    def reset_parameters(self) -> None:
        bound = self.hidden_size**-0.5
        for weight in self.weights:
            nn.init.uniform_(weight, -bound, bound)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        y, z = state
        activation = ACTIVATIONS[self.activation]
        x_gates, x_y = p.split([3 * self.hidden_size, self.hidden_size], dim=-1)
        d, e, new_z = (x_gates + self.recur_gates(y)).chunk(3, dim=-1)
        d, e = self.dt * torch.sigmoid(d), self.dt * torch.sigmoid(e)
        z = (1 - d) * z + d * activation(new_z)
        y = (1 - e) * y + e * activation(x_y + self.recur_last(z))
        return y, (y, z)
