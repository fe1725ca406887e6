"""Leaky integrator units with a range of time constants.

Jaeger, Lukosevicius, Popovici & Siewert, Optimization and Applications of Echo State Networks with Leaky-Integrator
Neurons, 2007, https://doi.org/10.1016/j.neunet.2007.04.016
Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, 2018, https://arxiv.org/abs/1804.11188

    alpha = 1 - exp(-1 / tau)
    h' = (1 - alpha) * h + alpha * f(W x + U h + b)

tau is the time constant of a unit in steps, in which its state decays to 1 / e. This is the exact solution of
tau dh/dt = -h + f(...) over one step; the Euler method has alpha = 1 / tau, which is close for long time constants.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State


class Leaky(GatedCell):
    """State: (h,), (B, H). `log_tau` (H,) holds the logarithms of the time constants, evenly spaced over the units.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        tau_min, tau_max: smallest and largest time constant, in steps, of the first and the last unit.
        learned: learn the time constants, starting from these values.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function f.
    """

    gates = ("h",)
    log_tau: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        tau_min: float = 1.0,
        tau_max: float = 64.0,
        learned: bool = False,
        **options: Any,
    ):
        if not 0 < tau_min <= tau_max:
            raise ValueError(f"tau_min is {tau_min} and tau_max {tau_max}: they must satisfy 0 < tau_min <= tau_max")
        super().__init__(input_size, hidden_size, **options)
        self.tau_min, self.tau_max, self.learned = tau_min, tau_max, learned
        if learned:
            self.log_tau = nn.Parameter(torch.empty(hidden_size))
        else:
            self.register_buffer("log_tau", torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if hasattr(self, "log_tau"):  # not yet in the call of the base class
            first, last = math.log(self.tau_min), math.log(self.tau_max)
            self.log_tau.detach().copy_(torch.linspace(first, last, self.hidden_size))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        alpha = -torch.expm1(-torch.exp(-self.log_tau))
        h = (1 - alpha) * h + alpha * ACTIVATIONS[self.activation](p + self.recur(h))
        return h, (h,)
