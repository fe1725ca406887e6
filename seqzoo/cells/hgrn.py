"""The recurrent unit of hierarchically gated recurrent networks.

Qin, Yang & Zhong, Hierarchically Gated Recurrent Neural Network for Sequence Modeling, 2023, https://arxiv.org/abs/2311.04823

    Re(c) = silu(W_cr x + b_cr), Im(c) = silu(W_ci x + b_ci)
    mu = sigmoid(W_mu x + b_mu)
    g = sigmoid(W_g x + b_g)
    lambda = gamma + (1 - gamma) * mu
    h' = lambda * exp(i theta) * h + (1 - lambda) * c
    y = W_o norm(g * [Re(h'), Im(h')]) + b_o

In the paper gamma grows from layer to layer and is learned jointly for all layers. A cell has no access to other
layers, so that gamma is an option here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.driven import DrivenCell
from seqzoo.cells.linear import LinearRecurrence, make_complex, side_by_side


class HGRN(LinearRecurrence, DrivenCell):
    """State: (real part, imaginary part) of h, both (B, H), or (h,) if h is real. Output: y, (B, H).

    Projected input: mu, c (real, imaginary), g (real, imaginary). Weights are initialised Xavier-uniform, biases with
    zeros, theta with 10000^(-2 k / H) for unit k.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        lower_bound: gamma, the lower bound of the forget gate; larger in higher layers.
        complex_state: False: without theta and imaginary parts.
    """

    gates = ("mu",)
    keep_gate = "mu"

    def __init__(self, input_size: int, hidden_size: int, lower_bound: float = 0.0, complex_state: bool = True):
        if not 0 <= lower_bound < 1:
            raise ValueError(f"lower_bound is {lower_bound}: it must be at least 0 and below 1")
        self.num_states = 2 if complex_state else 1
        super().__init__(input_size, hidden_size, num_parts=1 + 2 * self.num_states)
        self.lower_bound, self.complex_state = lower_bound, complex_state
        width = self.num_states * hidden_size
        if complex_state:
            self.theta = nn.Parameter(torch.empty(hidden_size))
        self.norm = nn.LayerNorm(width)
        self.weight_out = nn.Parameter(torch.empty(hidden_size, width))
        self.bias_out = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.complex_state:
            units = torch.arange(self.hidden_size, device=self.theta.device)
            self.theta.detach().copy_(10000 ** (-2 * units / self.hidden_size))
        self.norm.reset_parameters()
        nn.init.xavier_uniform_(self.weight_out)
        nn.init.zeros_(self.bias_out)

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        mu, *c = p[..., : -self.weight_out.shape[1]].chunk(1 + self.num_states, dim=-1)
        forget = self.lower_bound + (1 - self.lower_bound) * torch.sigmoid(mu)
        parts = [(1 - forget) * F.silu(part) for part in c]
        if not self.complex_state:
            return forget, parts[0]
        return make_complex(forget * self.theta.cos(), forget * self.theta.sin()), make_complex(*parts)

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        g = torch.sigmoid(p[..., -self.weight_out.shape[1] :])
        h = side_by_side(h).to(self.theta.dtype) if self.complex_state else h
        return F.linear(self.norm(g * h), self.weight_out, self.bias_out)
