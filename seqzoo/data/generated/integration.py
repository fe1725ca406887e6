"""Numerical integration of differential equations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def runge_kutta(derivative: Callable[[Tensor], Tensor], state: Tensor, duration: float, substeps: int) -> Tensor:
    """The state after some time, by the fourth-order Runge-Kutta method.

    Args:
        derivative: state -> its derivative with respect to time.
        state: of any shape.
        duration: the time.
        substeps: number of equal steps that it is divided into.
    """
    h = duration / substeps
    for _ in range(substeps):
        k1 = derivative(state)
        k2 = derivative(state + h / 2 * k1)
        k3 = derivative(state + h / 2 * k2)
        k4 = derivative(state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state
