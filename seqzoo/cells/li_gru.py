"""Light gated recurrent unit: no reset gate, relu, normalised input part.

Ravanelli, Brakel, Omologo & Bengio, Light Gated Recurrent Units for Speech Recognition, 2018,
https://arxiv.org/abs/1803.10225

    z = sigmoid(N(W_z x) + U_z h + b_z)
    n = relu(N(W_n x) + U_n h + b_n)
    h' = z * h + (1 - z) * n

N is batch normalisation over all rows and steps in the paper. Here it is layer normalisation over both gates, so that a
row does not depend on other rows, on padding, or on whether it is read at once or step by step.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import Activation
from seqzoo.cells.ugrnn import UGRNN


class LiGRU(UGRNN):
    """State: (h,), (B, H), unbounded. Gates z n.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: layer normalisation N; without it the state easily diverges.
        activation: activation function of the candidate n.
    """

    gates = ("z", "n")
    keep_gate = "z"

    def __init__(self, input_size: int, hidden_size: int, layer_norm: bool = True, activation: Activation = "relu"):
        super().__init__(input_size, hidden_size, gate_bias=0.0, activation=activation)
        self.norm_x = nn.LayerNorm(2 * hidden_size, bias=False) if layer_norm else nn.Identity()

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 2H)"""
        return self.norm_x(F.linear(x, self.weight_ih)) + self.bias_ih
