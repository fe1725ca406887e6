"""Minimal GRU: the gates do not depend on the state, so that all steps run in parallel.

Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, Were RNNs All We Needed?, 2024, https://arxiv.org/abs/2410.01201

    z = sigmoid(W_z x + b_z)
    n = W_n x + b_n
    h' = (1 - z) * h + z * n

The paper computes the scan on logarithms, which requires a positive n: n = g(W_n x + b_n), g(a) = a + 1/2 for a >= 0,
else sigmoid(a). The scan here does not need logarithms; g is an option.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.driven import DrivenCell
from seqzoo.cells.linear import LinearRecurrence


class MinGRU(LinearRecurrence, DrivenCell):
    """State: (h,), (B, H). Projected input: z n. Weights are initialised Xavier-uniform, biases with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        positive: whether n = g(...), as in the log-space version of the paper.
    """

    gates = ("z", "n")
    write_gate = "z"

    def __init__(self, input_size: int, hidden_size: int, positive: bool = False):
        super().__init__(input_size, hidden_size, num_parts=2)
        self.positive = positive
        self.reset_parameters()

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        z, n = p.chunk(2, dim=-1)
        z = torch.sigmoid(z)
        return 1 - z, z * (above_zero(n) if self.positive else n)


def above_zero(a: Tensor) -> Tensor:
    """g(a) = a + 1/2 for a >= 0, else sigmoid(a): continuous and positive."""
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))
