"""NARMA-10: identification of a nonlinear system with a memory of ten steps.

Source: Atiya & Parlos, New Results on Recurrent Network Training: Unifying the Algorithms and Accelerating
Convergence, 2000 (section VIII), https://doi.org/10.1109/72.846741

    u_t ~ U[0, 0.5]
    y_{t+1} = 0.3 y_t + 0.05 y_t (y_t + y_{t-1} + ... + y_{t-9}) + 1.5 u_{t-9} u_t + 0.1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.data.checks import check_at_least_one
from seqzoo.data.numbers import NumberData, Sequences, generator_of

ORDER = 10
WASHOUT = 100
"""Steps that are dropped at the beginning, until the system no longer depends on its initial zeros."""
BOUND = 1.5
"""Outputs above it have diverged, which happens once in many thousand steps."""


def narma10(u: Tensor) -> Tensor:
    """The outputs y_{t+1} of inputs u_t, from zeros: (N, T) -> (N, T)."""
    rows, steps = u.shape
    before = u.new_zeros(rows, ORDER - 1)
    u, y = torch.cat([before, u], 1), torch.cat([before, u.new_zeros(rows, steps + 1)], 1)
    for t in range(ORDER - 1, ORDER - 1 + steps):
        last = y[:, t - ORDER + 1 : t + 1].sum(1)
        y[:, t + 1] = 0.3 * y[:, t] + 0.05 * y[:, t] * last + 1.5 * u[:, t - ORDER + 1] * u[:, t] + 0.1
    return y[:, ORDER:]


def draw(rows: int, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random inputs u_t and outputs y_{t+1}, (N, T) float64 each. A row that diverges is drawn again."""
    u = 0.5 * torch.rand(rows, WASHOUT + steps, dtype=torch.float64, generator=generator)
    y = narma10(u)
    u, y = u[:, WASHOUT:], y[:, WASHOUT:]
    diverged = ~(y.amax(1) < BOUND)  # true for nan, too
    if diverged.any():
        u[diverged], y[diverged] = draw(int(diverged.sum()), steps, generator)
    return u, y


@dataclass(eq=False, kw_only=True)
class Narma10(NumberData):
    """Inputs u_t and targets y_{t+1}, (N, T, 1) each; the sequences are independent.

    Args:
        steps: T.
    """

    steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "steps")

    def generate(self, split: str, size: int) -> Sequences:
        u, y = draw(size, self.steps, generator_of(split))
        return Sequences(u[..., None], y[..., None])
