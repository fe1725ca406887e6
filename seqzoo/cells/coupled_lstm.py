"""LSTM with coupled input and forget gate: what is forgotten makes room for what is written.

Greff et al., LSTM: A Search Space Odyssey, 2017 (there "CIFG"), https://arxiv.org/abs/1503.04069

    f = sigmoid(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)
    o = sigmoid(W_o x + U_o h + b_o)
    c' = f * c + (1 - f) * g
    h' = o * tanh(c')
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.gated import GatedCell
from seqzoo.contracts import State


class CoupledLSTM(GatedCell):
    """State: (h, c), both (B, H). Gates f g o.

    forget_bias: where the forget gate's bias starts; 1 lets the gradient through from the first step on.
    layer_norm: normalise x W, h U and, on its way to the output, c'.
    """

    gates = ("f", "g", "o")
    keep_gate = "f"
    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0, layer_norm: bool = False):
        self.forget_bias = forget_bias
        super().__init__(input_size, hidden_size, layer_norm)
        if layer_norm:
            self.norm_c = nn.LayerNorm(hidden_size)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.set_bias("f", self.forget_bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        f, g, o = (p + self.recur(h)).chunk(3, dim=-1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(self.norm_c(c) if self.layer_norm else c)
        return h, (h, c)
