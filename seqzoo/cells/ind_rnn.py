"""Independently recurrent network: each unit sees its own past only.

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
    """State: (h,), (B, H). u is `weight_hh` (H,); units mix in the next layer alone.

    u starts uniform between 0 and its limit (1 where there is none), so that the layer remembers over many time scales.

    activation: f.
    horizon: the number of steps T over which no gradient may grow more than twofold: |u| is held to 2^(1/T) wherever u
        is used (the paper's constraint for relu); null: no limit.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "relu",
        horizon: int | None = None,
    ):
        if horizon is not None and horizon < 1:
            raise ValueError(f"horizon is {horizon}: it is a number of steps, at least 1, or null")
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
