"""Minimal LSTM: the gates do not depend on the state, so that all steps run in parallel.

Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, Were RNNs All We Needed?, 2024, https://arxiv.org/abs/2410.01201

    f = sigmoid(W_f x + b_f)
    i = sigmoid(W_i x + b_i)
    n = W_n x + b_n
    h' = f / (f + i) * h + i / (f + i) * n
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.driven import DrivenCell
from seqzoo.cells.linear import LinearRecurrence
from seqzoo.cells.min_gru import above_zero


class MinLSTM(LinearRecurrence, DrivenCell):
    """State: (h,), (B, H). Projected input: f i n. Weights are initialised Xavier-uniform, biases with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        forget_bias: initial bias of the forget gate; in the paper larger values learn faster.
        positive: whether n = g(...), as in `min_gru`.
    """

    gates = ("f", "i", "n")
    keep_gate, write_gate = "f", "i"

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 0.0, positive: bool = False):
        super().__init__(input_size, hidden_size, num_parts=3)
        self.forget_bias, self.positive = forget_bias, positive
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.set_bias("f", self.forget_bias)

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        f, i, n = p.chunk(3, dim=-1)
        # by log(f) - log(i), because the quotients are 0 / 0 if both gates are closed
        log_ratio = F.softplus(-i) - F.softplus(-f)
        return torch.sigmoid(log_ratio), torch.sigmoid(-log_ratio) * (above_zero(n) if self.positive else n)
