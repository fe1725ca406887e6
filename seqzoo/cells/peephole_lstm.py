"""LSTM with peephole connections from the cell to the gates.

Gers & Schmidhuber, Recurrent Nets that Time and Count, 2000, https://doi.org/10.1109/IJCNN.2000.861302

    i = sigmoid(W_i x + U_i h + p_i * c + b_i)
    f = sigmoid(W_f x + U_f h + p_f * c + b_f)
    g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h + p_o * c' + b_o)
    h' = o * tanh(c')
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.cell import Cell
from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.batch import State


class PeepholeLSTM(LSTM):
    """State: (h, c), both (B, H). Gates in torch's order, i f g o; `peepholes` (3, H) are p_i, p_f and p_o.

    Peepholes are initialised with zeros, which is the plain LSTM.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        forget_bias, output_activation, layer_norm, activation: as in `LSTM`.
    """

    def __init__(self, input_size: int, hidden_size: int, **options: Any):
        super().__init__(input_size, hidden_size, **options)
        self.peepholes = nn.Parameter(torch.empty(3, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if hasattr(self, "peepholes"):  # not yet in the call of the base class
            nn.init.zeros_(self.peepholes)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        p_i, p_f, p_o = self.peepholes.unbind()
        i, f, g, o = (p + self.recur(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * ACTIVATIONS[self.activation](g)
        h = torch.sigmoid(o + p_o * c) * self.read(c)
        return h, (h, c)

    # torch's kernels have no peepholes
    torch_scan = Cell.torch_scan
