"""Prediction of a Van der Pol oscillator that is driven by an input.

Source: Van der Pol, On Relaxation-Oscillations, 1926, https://doi.org/10.1080/14786442608564127

    dx/dt = v      dv/dt = mu (1 - x^2) v - x + u(t)

u is constant for 10 steps, and then drawn again from U[-1.5, 1.5].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.generated.integration import runge_kutta
from seqzoo.data.numbers import NumberData, Sequences, generator_of

STEP, SUBSTEPS = 0.1, 4
"""Time between steps, and number of steps of integration in it."""
HELD, LARGEST = 10, 1.5
"""Number of steps for which the input is constant, and its largest absolute value."""
WASHOUT = 300
"""Steps that are dropped at the beginning, until the oscillator no longer depends on its initial state."""


def van_der_pol(beginning: Tensor, inputs: Tensor, mu: float) -> Tensor:
    """The states (x, v) after the first one: (N, 2) and inputs (N, T) -> (N, T, 2)."""
    state, states = beginning, []
    for u in inputs.unbind(1):

        def derivative(state: Tensor, u: Tensor = u) -> Tensor:
            x, v = state.unbind(-1)
            return torch.stack([v, mu * (1 - x.square()) * v - x + u], -1)

        state = runge_kutta(derivative, state, STEP, SUBSTEPS)
        states.append(state)
    return torch.stack(states, 1)


@dataclass(eq=False, kw_only=True)
class VanDerPol(NumberData):
    """Inputs x, v and u, (N, T, 3), and x and v of the next step as targets, (N, T, 2).

    Args:
        steps: T.
        mu: strength of the nonlinear damping; 0: a harmonic oscillator.

    Raises:
        ValueError: mu is negative.
    """

    steps: int = 100
    mu: float = 1.0
    input_size = 3
    output_size = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "steps")
        if not 0 <= self.mu <= 10:
            raise ValueError(f"mu={self.mu} must be between 0 and 10")

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), next_values=True)

    def generate(self, split: str, size: int) -> Sequences:
        generator, steps = generator_of(split), WASHOUT + self.steps
        beginning = torch.randn(size, 2, dtype=torch.float64, generator=generator)
        drawn = torch.rand(size, -(-steps // HELD), dtype=torch.float64, generator=generator)
        inputs = LARGEST * (2 * drawn - 1).repeat_interleave(HELD, 1)[:, :steps]
        states = torch.cat([beginning[:, None], van_der_pol(beginning, inputs, self.mu)], 1)[:, WASHOUT:]
        return Sequences(torch.cat([states[:, :-1], inputs[:, WASHOUT:, None]], 2), states[:, 1:])
