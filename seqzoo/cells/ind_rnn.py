"""Independently recurrent network: each unit is connected to its own past only.

Li, Li, Cook, Zhu & Gao, Independently Recurrent Neural Network (IndRNN): Building a Longer and Deeper RNN, 2018,
https://arxiv.org/abs/1803.04831

    h' = f(W x + u * h + b)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State


class IndRNN(DrivenCell):
    """State: (h,), (B, H). u is `weight_hh` (H,); units are only mixed by the next layer.

    u is initialised uniform from 0 to its limit (1 without one), so that a layer covers many time scales.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        activation: the activation function f.
        horizon: number of steps T over which gradients may at most double: |u| is clamped to 2^(1/T) (the paper's
            constraint for relu); null: no limit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "relu",
        horizon: int | None = None,
    ):
        if horizon is not None and horizon < 1:
            raise ValueError(f"horizon is {horizon}: it must be at least 1, or null")
        super().__init__(input_size, hidden_size)
        self.activation = activation
        self.limit = None if horizon is None else 2 ** (1 / horizon)
        self.weight_hh = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.uniform_(self.weight_hh, 0, 1 if self.limit is None else self.limit)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        u = self.weight_hh if self.limit is None else self.weight_hh.clamp(-self.limit, self.limit)
        h = ACTIVATIONS[self.activation](p + u * h)
        return h, (h,)
