"""Ridge regression: the readout of a reservoir in closed form.

Source: Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless Communication,
2004, https://doi.org/10.1126/science.1091277
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class Reservoir:
    """A cell with fixed weights and a linear readout of [1, x, h] -> y at each step, which `fit` solves for.

    All computations are in float64, because the readout of a large reservoir is a small difference of large numbers.

    Args:
        cell: the reservoir, which is converted to float64.

    Attributes:
        readout: the weights of the readout, (1 + I + O, D), after `fit`.
    """

    readout: Tensor

    def __init__(self, cell: Cell):
        self.cell = cell.double()

    @torch.no_grad()
    def fit(self, x: Tensor, y: Tensor, washout: int, penalty: float) -> None:
        """Solve for the readout.

        Args:
            x: inputs, (B, T, I).
            y: targets, (B, T, D).
            washout: number of steps at the beginning of each row that are not fitted, because the state still depends
                on the initial one.
            penalty: weight of the squared norm of the readout.

        Raises:
            ValueError: the washout leaves no steps, or the penalty is not positive.
        """
        if not 0 <= washout < x.shape[1]:
            raise ValueError(f"washout={washout} leaves nothing of {x.shape[1]} steps to fit")
        h, _ = self.cell.scan(x)
        self.readout = ridge(_regressors(x, h)[:, washout:].flatten(0, 1), y[:, washout:].flatten(0, 1), penalty)

    @torch.no_grad()
    def predict(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the reservoir.

        Args:
            x: inputs, (B, T, I).
            state: first state; None: the initial one.

        Returns:
            Predictions (B, T, D), and the state after the last step.
        """
        h, state = self.cell.scan(x, state)
        return _regressors(x, h) @ self.readout, state

    @torch.no_grad()
    def run_free(self, y: Tensor, state: State, steps: int) -> Tensor:
        """Run the reservoir with each prediction as the next input.

        Args:
            y: the first input, (B, D).
            state: the state before it.
            steps: number of predictions.

        Returns:
            Predictions, (B, steps, D).
        """
        predictions = []
        for _ in range(steps):
            h, state = self.cell(y, state)
            y = _regressors(y, h) @ self.readout
            predictions.append(y)
        return torch.stack(predictions, 1)


def ridge(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """Minimise |features W - targets|^2 + penalty |W|^2 over the weights W.

    It is solved as least squares with sqrt(penalty) I appended to the features, because the normal equations would
    square their condition number.

    Args:
        features: (N, F).
        targets: (N, D).
        penalty: weight of the squared norm of W, above 0.

    Returns:
        W, (F, D).

    Raises:
        ValueError: the penalty is not positive.
    """
    if penalty <= 0:
        raise ValueError(f"penalty={penalty} must be above 0")
    size = features.shape[1]
    below = penalty**0.5 * torch.eye(size, dtype=features.dtype, device=features.device)
    return torch.linalg.lstsq(
        torch.cat([features, below]), torch.cat([targets, targets.new_zeros(size, targets.shape[1])])
    ).solution


def _regressors(x: Tensor, h: Tensor) -> Tensor:
    """The input of the readout at each step, [1, x, h]: (..., 1 + I + O)."""
    return torch.cat([torch.ones_like(x[..., :1]), x, h], -1)
