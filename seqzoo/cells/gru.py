"""Gated recurrent unit as in cuDNN and torch (the reset gate is applied after the matrix product).

Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014, https://arxiv.org/abs/1406.1078
Chung et al., Empirical Evaluation of Gated Recurrent Neural Networks on Sequence Modeling, 2014, https://arxiv.org/abs/1412.3555

    r = sigmoid(W_r x + U_r h + b_r)
    z = sigmoid(W_z x + U_z h + b_z)
    n = tanh(W_n x + b_n + r * (U_n h + d_n))
    h' = (1 - z) * n + z * h
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State
from seqzoo.kernels import torch_rnn


class GRU(GatedCell):
    """State: (h,), (B, H). Gates in torch's order, r z n.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: layer normalisation of W x and U h.
        activation: activation function of the candidate n.
    """

    gates = ("r", "z", "n")
    keep_gate = "z"

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        x_r, x_z, x_n = p.chunk(3, dim=-1)
        h_r, h_z, h_n = self.recur(h).chunk(3, dim=-1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = ACTIVATIONS[self.activation](x_n + r * h_n)
        h = (1 - z) * n + z * h
        return h, (h,)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        if self.layer_norm or self.activation != "tanh" or not torch_rnn.usable(x):
            return None
        (h,) = state
        outputs, h = torch_rnn.gru(x, h, self.weights, lengths)
        return outputs, (h,)
