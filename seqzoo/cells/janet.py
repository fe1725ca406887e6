"""JANET, "just another network": an LSTM with nothing but the forget gate.

van der Westhuizen & Lasenby, The Unreasonable Effectiveness of the Forget Gate, 2018, https://arxiv.org/abs/1804.04849
Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, 2018 (chrono initialisation), https://arxiv.org/abs/1804.11188

    s = W_s x + U_s h + b_s
    g = tanh(W_g x + U_g h + b_g)
    h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * g
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State


class Janet(GatedCell):
    """State: (h,), (B, H): the cell is the output. Gates s g.

    beta: above 0, more is written than was forgotten; 0 couples the two.
    forget_bias: where the forget gate's bias starts; the paper takes chrono initialisation.
    layer_norm: normalise x W and h U.
    activation: on g.
    """

    gates = ("s", "g")
    keep_gate = "s"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        beta: float = 1.0,
        forget_bias: float = 1.0,
        **options: Any,
    ):
        self.beta, self.forget_bias = beta, forget_bias
        super().__init__(input_size, hidden_size, **options)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.set_bias("s", self.forget_bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        s, g = (p + self.recur(h)).chunk(2, dim=-1)
        # 1 - sigmoid(a) = sigmoid(-a), without the rounding
        h = torch.sigmoid(s) * h + torch.sigmoid(self.beta - s) * ACTIVATIONS[self.activation](g)
        return h, (h,)
