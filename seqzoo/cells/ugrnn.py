"""Update gate recurrent network: a single gate interpolates between the old state and a candidate.

Collins, Sohl-Dickstein & Sussillo, Capacity and Trainability in Recurrent Neural Networks, 2017,
https://arxiv.org/abs/1611.09913
Ravanelli, Brakel, Omologo & Bengio, Improving Speech Recognition by Revising Gated Recurrent Units, 2017 (the same
as a GRU without reset gate), https://arxiv.org/abs/1710.00641

    g = sigmoid(W_g x + U_g h + b_g)
    c = s(W_c x + U_c h + b_c)
    h' = g * h + (1 - g) * c
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State


class UGRNN(GatedCell):
    """State: (h,), (B, H). Gates g c.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        gate_bias: initial bias of the gate; above 0 the state is mostly kept.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function s of the candidate c.
    """

    gates = ("g", "c")
    keep_gate = "g"

    def __init__(self, input_size: int, hidden_size: int, gate_bias: float = 1.0, **options: Any):
        self.gate_bias = gate_bias
        super().__init__(input_size, hidden_size, **options)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.set_bias(self.gates[0], self.gate_bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        g, c = (p + self.recur(h)).chunk(2, dim=-1)
        g, c = torch.sigmoid(g), ACTIVATIONS[self.activation](c)
        h = g * h + (1 - g) * c
        return h, (h,)
