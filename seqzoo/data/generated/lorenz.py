"""Prediction of the Lorenz system, three chaotic variables.

Source: Lorenz, Deterministic Nonperiodic Flow, 1963, https://doi.org/10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2

    dx/dt = 10 (y - x)      dy/dt = x (28 - z) - y      dz/dt = x y - 8/3 z
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.generated.integration import runge_kutta
from seqzoo.data.numbers import NumberData, Sequences, generator_of

STEP = 0.02
"""Time between steps; each is four steps of the Runge-Kutta method."""
SUBSTEPS = 4
WASHOUT = 1_000
"""Steps that are dropped at the beginning, until the state is on the attractor."""
MEAN, SCALE = (0.0, 0.0, 23.5), (7.9, 9.0, 8.6)
"""About those of the variables in the long run, by which they are scaled."""


def derivative(state: Tensor) -> Tensor:
    """The derivative of states (..., 3) with respect to time."""
    x, y, z = state.unbind(-1)
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def lorenz(beginning: Tensor, steps: int) -> Tensor:
    """The states after the first one: (N, 3) -> (N, T, 3); steps: T."""
    state, states = beginning, []
    for _ in range(steps):
        state = runge_kutta(derivative, state, STEP, SUBSTEPS)
        states.append(state)
    return torch.stack(states, 1)


@dataclass(eq=False, kw_only=True)
class Lorenz(NumberData):
    """Inputs and the states of the next step as targets, (N, T, 3) each; the sequences begin at random.

    Args:
        steps: T.
    """

    steps: int = 100
    input_size = 3
    output_size = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "steps")

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), next_values=True)

    def generate(self, split: str, size: int) -> Sequences:
        beginning = torch.randn(size, 3, dtype=torch.float64, generator=generator_of(split)) * 5
        states = lorenz(beginning, WASHOUT + self.steps + 1)[:, WASHOUT:]
        states = (states - states.new_tensor(MEAN)) / states.new_tensor(SCALE)
        return Sequences(states[:, :-1], states[:, 1:])
