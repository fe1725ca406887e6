"""Simple recurrent unit.

Lei, Zhang, Wang, Dai & Artzi, Simple Recurrent Units for Highly Parallelizable Recurrence, 2018, https://arxiv.org/abs/1709.02755

    f = sigmoid(W_f x + v_f * c + b_f)
    r = sigmoid(W_r x + v_r * c + b_r)
    c' = f * c + (1 - f) * (W x)
    h' = r * g(c') + (1 - r) * alpha * x

By default v = 0, as in the first version of the paper, so that all steps run in parallel. With v (`peephole`) the gates
depend on the state, and steps are sequential.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.driven import DrivenCell
from seqzoo.cells.linear import LinearRecurrence
from seqzoo.contracts.batch import State


class SRU(LinearRecurrence, DrivenCell):
    """State: (c,), (B, H). Output: h', (B, H). Projected input: W x, f, r and x, for I != H projected to size H.

    Weights are initialised uniform with variance 1 / I, v with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        activation: g; identity as in the paper, tanh as in its first version.
        highway_bias: initial bias b_r of the highway gate.
        rescale: alpha = sqrt(1 + 2 exp(highway_bias)), which keeps the scale of the inputs from layer to layer; False:
            1.
        peephole: with the terms v * c; no longer parallel in time.
    """

    gates = ("f", "r")
    keep_gate = "f"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "identity",
        highway_bias: float = 0.0,
        rescale: bool = True,
        peephole: bool = False,
    ):
        super().__init__(input_size, hidden_size, num_parts=3 if input_size == hidden_size else 4)
        self.activation, self.highway_bias, self.peephole = activation, highway_bias, peephole
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias)) if rescale else 1.0
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        if peephole:
            self.v = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        limit = math.sqrt(3 / self.input_size)
        nn.init.uniform_(self.weight_ih, -limit, limit)
        nn.init.zeros_(self.bias)
        self.set_bias("r", self.highway_bias)
        if self.peephole:
            nn.init.zeros_(self.v)

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 4H): W x, the sums of f and r, and x."""
        parts = F.linear(x, self.weight_ih)
        if self.num_parts == 3:
            parts = torch.cat([parts, x], dim=-1)
        return parts + F.pad(self.bias, (self.hidden_size, self.hidden_size))

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        candidate, f, _, _ = p.chunk(4, dim=-1)
        f = torch.sigmoid(f)
        return f, (1 - f) * candidate

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        _, _, r, x = p.chunk(4, dim=-1)
        r = torch.sigmoid(r)
        return r * ACTIVATIONS[self.activation](h) + (1 - r) * self.alpha * x

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        if self.peephole:
            (c,) = state
            p = p + F.pad(self.v * torch.cat([c, c], dim=-1), (self.hidden_size, self.hidden_size))
        return super().step(p, state)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        if self.peephole:
            return None
        return super().torch_scan(x, state, lengths)
