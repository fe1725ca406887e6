"""Coupled oscillatory recurrent network: a driven, damped oscillator per unit.

Rusch & Mishra, Coupled Oscillatory Recurrent Neural Network (coRNN): An accurate and (gradient) stable architecture for
learning long time dependencies, 2021, https://arxiv.org/abs/2010.00951

    z' = z + dt (tanh(W x + U y + V z + b) - gamma y - epsilon z)
    y' = y + dt z'
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State


class CoRNN(DrivenCell):
    """State: (y, z), position and velocity, both (B, H); the output is y. `weight_hh` (H, 2H) is U and V side by side.

    All weights and the bias are initialised uniform in +-1 / sqrt(I + 2H), as in the authors' code. The output after T
    steps is of the order of (dt T)^2, so that dt depends on the length of the sequences. The defaults suit tens of
    steps (a period is about 20); for the 784 steps of sequential MNIST the paper uses dt 0.042, gamma 2.7 and epsilon
    4.7.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        dt: time step (Delta t).
        gamma: squared frequency of the oscillators.
        epsilon: damping of the oscillators.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, dt: float = 0.3, gamma: float = 1.0, epsilon: float = 0.3):
        for name, value in (("dt", dt), ("gamma", gamma), ("epsilon", epsilon)):
            if value <= 0:
                raise ValueError(f"{name} is {value}: it must be above 0")
        super().__init__(input_size, hidden_size)
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = (self.input_size + 2 * self.hidden_size) ** -0.5
        for parameter in (self.weight_ih, self.weight_hh, self.bias):
            nn.init.uniform_(parameter, -bound, bound)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """U and V."""
        return list(self.weight_hh.detach().chunk(2, dim=1))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        y, z = state
        force = torch.tanh(p + F.linear(torch.cat([y, z], dim=-1), self.weight_hh))
        z = z + self.dt * (force - self.gamma * y - self.epsilon * z)
        y = y + self.dt * z
        return y, (y, z)
