"""Linear recurrent unit: a complex diagonal recurrence with a stable parametrization.

Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences, 2023, https://arxiv.org/abs/2303.06349

    lambda = exp(-exp(nu) + i exp(theta))
    h' = lambda * h + exp(gamma) * (B x)
    y = Re(C h') + D x

h, B and C are complex. The nonlinear block around it in the paper (normalisation, gated linear unit, skip connection)
is not part of the cell.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.linear import LinearRecurrence, make_complex, side_by_side
from seqzoo.contracts.batch import State


class LRU(LinearRecurrence):
    """State: (real part, imaginary part) of h, both (B, H). Output: y, (B, H).

    Parameters are real: `nu`, `theta`, `gamma` (H,), `b_real`, `b_imag` and `d` (H, I), `c_real`, `c_imag` (H, H). As
    in the paper, lambda is initialised uniformly on the ring between r_min and r_max with a uniform phase, gamma such
    that white noise keeps its variance, B, C and D normal.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        r_min: smallest absolute eigenvalue at initialisation.
        r_max: largest absolute eigenvalue at initialisation; closer to 1: longer memory.
        max_phase: largest phase of the eigenvalues at initialisation; smaller for long sequences.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.283,
    ):
        if not 0 <= r_min < r_max <= 1:
            raise ValueError(f"r_min is {r_min} and r_max {r_max}: they must satisfy 0 <= r_min < r_max <= 1")
        if max_phase <= 0:
            raise ValueError(f"max_phase is {max_phase}: it must be above 0")
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.r_min, self.r_max, self.max_phase = r_min, r_max, max_phase
        self.nu = nn.Parameter(torch.empty(hidden_size))
        self.theta = nn.Parameter(torch.empty(hidden_size))
        self.gamma = nn.Parameter(torch.empty(hidden_size))
        self.b_real = nn.Parameter(torch.empty(hidden_size, input_size))
        self.b_imag = nn.Parameter(torch.empty(hidden_size, input_size))
        self.c_real = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.c_imag = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.d = nn.Parameter(torch.empty(hidden_size, input_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        # away from 0 and 1, where the logarithms below diverge
        squared = torch.empty_like(self.nu).uniform_(self.r_min**2, self.r_max**2).clamp(1e-6, 1 - 1e-6)
        self.nu.copy_((-squared.log() / 2).log())
        self.theta.copy_(torch.empty_like(self.theta).uniform_(1e-6, self.max_phase).log())
        self.gamma.copy_((1 - squared).sqrt().log())
        for part in (self.b_real, self.b_imag):
            nn.init.normal_(part, std=1 / math.sqrt(2 * self.input_size))
        for part in (self.c_real, self.c_imag):
            nn.init.normal_(part, std=1 / math.sqrt(self.hidden_size))
        nn.init.normal_(self.d, std=1 / math.sqrt(self.input_size))

    def initial_state(self, batch_size: int) -> State:
        """Two tensors of zeros, (B, H)."""
        zeros = self.nu.new_zeros(batch_size, self.hidden_size)
        return zeros, zeros.clone()

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 3H): real and imaginary part of exp(gamma) * (B x), and D x."""
        scale = self.gamma.exp()[:, None]
        return F.linear(x, torch.cat([scale * self.b_real, scale * self.b_imag, self.d]))

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        size, phase = (-self.nu.exp()).exp(), self.theta.exp()
        real, imaginary, _ = p.chunk(3, dim=-1)
        return make_complex(size * phase.cos(), size * phase.sin()), make_complex(real, imaginary)

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        c = torch.cat([self.c_real, -self.c_imag], dim=1)
        return F.linear(side_by_side(h).to(c.dtype), c) + p[..., -self.hidden_size :]
