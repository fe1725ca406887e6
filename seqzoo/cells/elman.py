"""The simple recurrent network.

Elman, Finding Structure in Time, 1990, https://doi.org/10.1207/s15516709cog1402_1

    h' = f(W x + U h + b)

Le, Jaitly & Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015 (the same with relu,
started so that it copies its state), https://arxiv.org/abs/1504.00941
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from seqzoo.cells.gated import GatedCell
from seqzoo.contracts import State
from seqzoo.kernels import torch_rnn

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


class Elman(GatedCell):
    """State: (h,), (B, H).

    activation: tanh as in torch, relu, or sigmoid as in the paper.
    layer_norm: normalise x W and h U.
    """

    gates = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Literal["tanh", "relu", "sigmoid"] = "tanh",
        layer_norm: bool = False,
    ):
        self.activation = activation
        super().__init__(input_size, hidden_size, layer_norm)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        h = ACTIVATIONS[self.activation](p + self.recur(h))
        return h, (h,)

    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        if self.activation == "sigmoid" or self.layer_norm:
            return super().scan(x, state, lengths)
        (h,) = self.initial_state(x.shape[0]) if state is None else state
        outputs, h = torch_rnn.elman(x, h, self.weights, lengths, self.activation)
        return outputs, (h,)
