"""LSTM with coupled input and forget gate, i = 1 - f.

Greff et al., LSTM: A Search Space Odyssey, 2017 (there "CIFG"), https://arxiv.org/abs/1503.04069

    f = sigmoid(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)
    o = sigmoid(W_o x + U_o h + b_o)
    c' = f * c + (1 - f) * g
    h' = o * tanh(c')
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.cell import Cell
from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.batch import State


class CoupledLSTM(LSTM):
    """State: (h, c), both (B, H). Gates f g o.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        forget_bias, output_activation, layer_norm, activation: as in `LSTM`.
    """

    gates = ("f", "g", "o")
    write_gate = None

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        f, g, o = (p + self.recur(h)).chunk(3, dim=-1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * ACTIVATIONS[self.activation](g)
        h = torch.sigmoid(o) * self.read(c)
        return h, (h, c)

    # torch's kernels have separate input and forget gates
    torch_scan = Cell.torch_scan
