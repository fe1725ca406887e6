"""Minimal gated unit: a GRU with a single gate for reset and update.

Zhou, Wu, Zhang & Zhou, Minimal Gated Unit for Recurrent Neural Networks, 2016, https://arxiv.org/abs/1603.09420

    f = sigmoid(W_f x + U_f h + b_f)
    n = tanh(W_n x + U_n (f * h) + b_n)
    h' = (1 - f) * h + f * n
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.split import SplitGatedCell
from seqzoo.contracts.batch import State


class MGU(SplitGatedCell):
    """State: (h,), (B, H). Gates f n.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: layer normalisation of W x, of U h for the gate and of U (f * h) for the candidate.
        activation: activation function of the candidate n.
    """

    gates = ("f", "n")
    write_gate = "f"

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        x_f, x_n = p.chunk(2, dim=-1)
        f = torch.sigmoid(x_f + self.recur_gates(h))
        n = ACTIVATIONS[self.activation](x_n + self.recur_last(f * h))
        h = (1 - f) * h + f * n
        return h, (h,)
