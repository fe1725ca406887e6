"""Regularised least squares, all at once and batch by batch.

Source: Golub & Van Loan, Matrix Computations, 2013 (section 6.5: updating a QR factorisation)
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def start(features: int, targets: int, penalty: float) -> Tensor:
    """The triangle before any rows, (F + D, F + D) float64. The penalty is F rows sqrt(penalty) I with targets 0.

    Args:
        features: F.
        targets: D.
        penalty: of the squared norm of the weights.
    """
    return torch.diag(torch.tensor([penalty**0.5] * features + [0.0] * targets, dtype=torch.float64))


def extended(triangle: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """The triangle R of the QR factorisation of all rows (inputs, targets) so far, with more of them.

    The normal equations would square the condition number of the problem.

    Args:
        triangle: R before, (F + D, F + D).
        inputs: (N, F).
        targets: (N, D).
    """
    return torch.linalg.qr(torch.cat([triangle, torch.cat([inputs, targets], 1)]), mode="r").R


def solution(triangle: Tensor, targets: int) -> Tensor:
    """The weights (F, D) that minimise |inputs W - targets|^2 + penalty |W|^2.

    Args:
        triangle: from `extended`.
        targets: D.
    """
    size = len(triangle) - targets
    return torch.linalg.solve_triangular(triangle[:size, :size], triangle[:size, size:], upper=True)
