"""Prediction of the Mackey-Glass series, a chaotic delay differential equation.

Source: Mackey & Glass, Oscillation and Chaos in Physiological Control Systems, 1977, https://doi.org/10.1126/science.267326
Jaeger, The "Echo State" Approach to Analysing and Training Recurrent Neural Networks, 2001 (step and subsampling),
https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf

    dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.numbers import NumberData, Sequences

SUBSTEPS = 10
"""Euler steps per unit of time; every tenth value is kept."""
WASHOUT = 1_000
"""Units of time that are dropped at the beginning, until the series no longer depends on its initial value."""
BEGINNINGS = {"train": 1.2, "validation": 1.1, "test": 0.9}


def mackey_glass(steps: int, tau: int = 17, beginning: float = 1.2) -> Tensor:
    """The series x(1), ..., x(T), (T,) float64, which is constant until time 0 and chaotic from tau = 17 on.

    Args:
        steps: T.
        tau: the delay.
        beginning: the value until time 0.
    """
    x = [beginning] * (tau * SUBSTEPS + 1)
    for _ in range(steps * SUBSTEPS):
        delayed = x[-1 - tau * SUBSTEPS]
        x.append(x[-1] + (0.2 * delayed / (1 + delayed**10) - 0.1 * x[-1]) / SUBSTEPS)
    return torch.tensor(x[tau * SUBSTEPS + SUBSTEPS :: SUBSTEPS], dtype=torch.float64)


@dataclass(eq=False, kw_only=True)
class MackeyGlass(NumberData):
    """Inputs x(t) - 1 and targets x(t + horizon) - 1, (N, T, 1) each. Each split is one series with an initial value of
    its own, cut into consecutive sequences.

    A bidirectional network finds the targets among its inputs, unless the horizon is longer than a sequence.

    Args:
        steps: T.
        tau: the delay.
        horizon: how far ahead to predict, in units of time.
    """

    steps: int = 100
    tau: int = 17
    horizon: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "steps", "tau", "horizon")

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), next_values=self.horizon == 1)

    def generate(self, split: str, size: int) -> Sequences:
        total = size * self.steps
        x = mackey_glass(WASHOUT + total + self.horizon, self.tau, BEGINNINGS[split])[WASHOUT:] - 1
        inputs, targets = x[:total], x[self.horizon :]
        return Sequences(inputs.view(size, self.steps, 1), targets.view(size, self.steps, 1))
