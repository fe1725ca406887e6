"""A learning rule that needs no backward pass: simultaneous perturbation.

Spall, Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation, 1992,
https://doi.org/10.1109/9.119632
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqzoo import Batch, LearningRule, Loss, State
from seqzoo.learning.rule import Objective


class Spsa(LearningRule):
    """The gradient is estimated by the slope of the loss along random directions d, each +1 or -1 for every weight:

        g = mean over d of d (L(w + c d) - L(w - c d)) / 2c

    directions: number of directions for each batch.
    perturbation: c of the first batch; it shrinks as batches ** -0.101.
    """

    def __init__(self, directions: int = 8, perturbation: float = 0.01):
        self.directions, self.perturbation, self.batches = directions, perturbation, 0

    @torch.no_grad()
    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        self.batches += 1
        c = self.perturbation * self.batches**-0.101
        weights = [weight for weight in objective.model.parameters() if weight.requires_grad]
        start = [weight.clone() for weight in weights]

        def total(directions: list[Tensor], step: float) -> Tensor:
            for weight, before, direction in zip(weights, start, directions, strict=True):
                weight.copy_(before + step * direction)
            return objective.loss(batch, state)[0].total

        for _ in range(self.directions):
            directions = [torch.randint_like(weight, 2) * 2 - 1 for weight in weights]
            slope = (total(directions, c) - total(directions, -c)) / (2 * c * self.directions)
            for weight, direction in zip(weights, directions, strict=True):
                estimate = objective.scaled(slope * direction)
                weight.grad = estimate if weight.grad is None else weight.grad + estimate
        total(directions, 0.0)  # puts the weights back
        loss, state = objective.loss(batch, state)
        return loss, state

    def content(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def restore(self, content: dict[str, Any]) -> None:
        self.batches = int(content["batches"])
