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
    """State: (h,), (B, H), both cell and output. Gates s g.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        beta: shift of the input gate; above 0 more is written than is forgotten.
        forget_bias: initial bias of the forget gate; the paper uses chrono initialisation.
        layer_norm: layer normalisation of W x and U h.
        activation: activation function of the candidate g.
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
        # 1 - sigmoid(a) as sigmoid(-a), which has no cancellation
        h = torch.sigmoid(s) * h + torch.sigmoid(self.beta - s) * ACTIVATIONS[self.activation](g)
        return h, (h,)
