"""Multiplicative LSTM: the recurrent weights depend on the input.

Krause, Murray, Renals & Lu, Multiplicative LSTM for Sequence Modelling, 2016, https://arxiv.org/abs/1609.07959

    m = (W_m x) * (U_m h)
    i = sigmoid(W_i x + U_i m + b_i)
    f = sigmoid(W_f x + U_f m + b_f)
    g = tanh(W_g x + U_g m + b_g)
    o = sigmoid(W_o x + U_o m + b_o)
    c' = f * c + i * g
    h' = o * tanh(c')

The gates are those of the authors' later code (Chainer) and of most implementations. In their first code (MATLAB) g is
linear, here `activation=identity`, and the output gate is inside: h' = tanh(o * c' + b).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.batch import State


class MultiplicativeLSTM(LSTM):
    """State: (h, c), both (B, H). Gates in torch's order, i f g o; `weight_mx` (H, I) is W_m and `weight_mh` (H, H) is
    U_m, initialised Xavier-uniform and orthogonal.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        forget_bias, output_activation, layer_norm, activation: as in `LSTM`; layer_norm normalises m U, not m.
    """

    def __init__(self, input_size: int, hidden_size: int, **options: Any):
        super().__init__(input_size, hidden_size, **options)
        self.weight_mx = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_mh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if hasattr(self, "weight_mx"):  # not yet in the call of the base class
            nn.init.xavier_uniform_(self.weight_mx)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        factor = [self.weight_mh.detach()] if hasattr(self, "weight_mh") else []
        return super().recurrent_matrices + factor

    @property
    def weights(self) -> list[Tensor]:
        return [*super().weights, self.weight_mx, self.weight_mh]

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 5H): the four gates and W_m x."""
        return torch.cat([super().project(x), F.linear(x, self.weight_mx)], dim=-1)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        gates, x_m = p.split([4 * self.hidden_size, self.hidden_size], dim=-1)
        m = x_m * F.linear(h, self.weight_mh)
        return super().step(gates, (m, c))

    # torch's kernels do not support m
    torch_scan = Cell.torch_scan
