"""Ridge regression: the readout of a reservoir, solved and not trained.

Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless Communication, 2004,
https://doi.org/10.1126/science.1091277
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class Reservoir:
    """A cell whose weights stay as they are, and a linear readout of each step's [1, x, h] -> y that `fit` solves for.

    Everything is float64: the readout of a large reservoir is a small difference of large numbers.
    """

    readout: Tensor
    """(1 + I + O, D), after `fit`."""

    def __init__(self, cell: Cell):
        self.cell = cell.double()

    @torch.no_grad()
    def fit(self, x: Tensor, y: Tensor, washout: int, penalty: float) -> None:
        """x: (B, T, I), y: (B, T, D). The first `washout` steps of a row still show how the state began: they are read
        and not fitted. penalty: the weight of the readout's squared norm.
        """
        if not 0 <= washout < x.shape[1]:
            raise ValueError(f"washout={washout} leaves nothing of {x.shape[1]} steps to fit")
        h, _ = self.cell.scan(x)
        self.readout = ridge(_seen(x, h)[:, washout:].flatten(0, 1), y[:, washout:].flatten(0, 1), penalty)

    @torch.no_grad()
    def predict(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(B, T, I) -> (B, T, D), and the state after the last step."""
        h, state = self.cell.scan(x, state)
        return _seen(x, h) @ self.readout, state

    @torch.no_grad()
    def run_free(self, y: Tensor, state: State, steps: int) -> Tensor:
        """What follows when every answer is the next input: (B, D), the answer so far -> (B, steps, D)."""
        answers = []
        for _ in range(steps):
            h, state = self.cell(y, state)
            y = _seen(y, h) @ self.readout
            answers.append(y)
        return torch.stack(answers, 1)


def ridge(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """(N, F) and (N, D) -> the (F, D) weights W with the smallest |features W - targets|^2 + penalty |W|^2.

    As least squares over rows added to the features: the normal equations would square their condition number.
    """
    if penalty <= 0:
        raise ValueError(f"penalty={penalty} must be above 0")
    size = features.shape[1]
    below = penalty**0.5 * torch.eye(size, dtype=features.dtype, device=features.device)
    return torch.linalg.lstsq(
        torch.cat([features, below]), torch.cat([targets, targets.new_zeros(size, targets.shape[1])])
    ).solution


def _seen(x: Tensor, h: Tensor) -> Tensor:
    """What the readout sees of a step: (..., 1 + I + O)."""
    return torch.cat([torch.ones_like(x[..., :1]), x, h], -1)
