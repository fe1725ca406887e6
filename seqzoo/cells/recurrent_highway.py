"""Recurrent highway network: several highway layers per time step.

Zilly, Srivastava, Koutnik & Schmidhuber, Recurrent Highway Networks, 2017, https://arxiv.org/abs/1607.03474

    s_0 = h
    for l = 1 ... L, where only the first layer reads the input:
        n = tanh(W_n x [l = 1] + U_n,l s_{l-1} + b_n,l)
        t = sigmoid(W_t x [l = 1] + U_t,l s_{l-1} + b_t,l)
        c = 1 - t, or as a separate gate sigmoid(W_c x [l = 1] + U_c,l s_{l-1} + b_c,l)
        s_l = n * t + s_{l-1} * c
    h' = s_L
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State

MAX_DEPTH = 1_000


class RecurrentHighway(DrivenCell):
    """State: (h,), (B, H). Gates n t, and c if it is not coupled.

    Parameters: `weight_ih` (GH, I), `bias` (GH,), `weight_hh` (L, GH, H), `bias_hh` (L, GH). Input weights are
    initialised Xavier-uniform, recurrent weights orthogonal, each gate by gate; biases with zeros except those of t.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        depth: number L of highway layers.
        coupled: whether the gates are coupled, c = 1 - t.
        transform_bias: initial bias of the transform gate t; negative values carry the state through, lower for deep
            cells.
        layer_norm: layer normalisation of W x and, separately in each layer, of U s (Ba, Kiros & Hinton, Layer
            Normalization, 2016, https://arxiv.org/abs/1607.06450); not in the paper.
        activation: activation function of the candidate n.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        depth: int = 3,
        coupled: bool = True,
        transform_bias: float = -2.0,
        layer_norm: bool = False,
        activation: Activation = "tanh",
    ):
        if not 1 <= depth <= MAX_DEPTH:
            raise ValueError(f"depth is {depth}: it must be between 1 and {MAX_DEPTH:,}")
        super().__init__(input_size, hidden_size, num_parts=2 if coupled else 3)
        self.depth, self.coupled, self.transform_bias = depth, coupled, transform_bias
        self.layer_norm, self.activation = layer_norm, activation
        width = self.num_parts * hidden_size
        self.weight_hh = nn.Parameter(torch.empty(depth, width, hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(depth, width))
        if layer_norm:
            self.norm_ih = nn.LayerNorm(width, bias=False)
            self.norm_hh = nn.ModuleList(nn.LayerNorm(width, bias=False) for _ in range(depth))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for matrix in self.recurrent_matrices:
            nn.init.orthogonal_(matrix)
        nn.init.zeros_(self.bias_hh)
        nn.init.constant_(self.bias_hh.detach()[:, self.hidden_size : 2 * self.hidden_size], self.transform_bias)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """One matrix per layer and gate."""
        return [gate for layer in self.weight_hh.detach() for gate in layer.chunk(self.num_parts)]

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., GH)"""
        if self.layer_norm:
            return self.norm_ih(F.linear(x, self.weight_ih)) + self.bias
        return super().project(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (s,) = state
        for layer, (weight, bias) in enumerate(zip(self.weight_hh.unbind(), self.bias_hh.unbind(), strict=True)):
            sums = self.norm_hh[layer](F.linear(s, weight)) + bias if self.layer_norm else F.linear(s, weight, bias)
            n, t, *c = (sums + p if layer == 0 else sums).chunk(self.num_parts, dim=-1)
            t = torch.sigmoid(t)
            s = ACTIVATIONS[self.activation](n) * t + s * (1 - t if self.coupled else torch.sigmoid(c[0]))
        return s, (s,)
