"""The simple recurrent network.

Elman, Finding Structure in Time, 1990, https://doi.org/10.1207/s15516709cog1402_1

    h' = f(W x + U h + b)

Le, Jaitly & Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015 (IRNN: with relu and
identity recurrent weights at initialisation), https://arxiv.org/abs/1504.00941
"""

from __future__ import annotations

from torch import Tensor

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State
from seqzoo.kernels import torch_rnn


class Elman(GatedCell):
    """State: (h,), (B, H).

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function f: a sigmoid in the paper, tanh in torch.
    """

    gates = ("h",)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        h = ACTIVATIONS[self.activation](p + self.recur(h))
        return h, (h,)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        if self.layer_norm or self.activation not in ("tanh", "relu") or not torch_rnn.usable(x):
            return None
        (h,) = state
        outputs, h = torch_rnn.elman(x, h, self.weights, lengths, self.activation)
        return outputs, (h,)
