"""Gated recurrent unit as first published: the reset gate is applied to the state before the matrix product.

Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014, https://arxiv.org/abs/1406.1078

    r = sigmoid(W_r x + U_r h + b_r)
    z = sigmoid(W_z x + U_z h + b_z)
    n = tanh(W_n x + U_n (r * h) + b_n)
    h' = (1 - z) * n + z * h
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.split import SplitGatedCell
from seqzoo.contracts.batch import State


class GRUResetBefore(SplitGatedCell):
    """State: (h,), (B, H). Gates in torch's order, r z n. torch's kernels only have the reset after the product.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: layer normalisation of W x, of U h for the gates and of U (r * h) for the candidate.
        activation: activation function of the candidate n.
    """

    gates = ("r", "z", "n")
    keep_gate = "z"

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        x_gates, x_n = p.split([2 * self.hidden_size, self.hidden_size], dim=-1)
        r, z = torch.sigmoid(x_gates + self.recur_gates(h)).chunk(2, dim=-1)
        n = ACTIVATIONS[self.activation](x_n + self.recur_last(r * h))
        h = (1 - z) * n + z * h
        return h, (h,)
