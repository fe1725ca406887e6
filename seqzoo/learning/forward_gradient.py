"""Forward gradient: an unbiased gradient from directional derivatives, without a backward pass.

Source: Baydin, Pearlmutter, Syme, Wood & Torr, Gradients without Backpropagation, 2022, https://arxiv.org/abs/2202.08587
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.state import detach
from seqzoo.learning.network_step import add_gradients, forward_derivative
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network.model import Model


class ForwardGradient(LearningRule):
    """The derivative of the loss along a random direction v, times v; its mean over v is the gradient.

    It is computed forward in time, together with the loss, so that memory does not grow with the number of steps. Its
    variance grows with the number of weights.

    Args:
        directions: number of directions for each batch, over which the mean is taken.
        carry_state: for running text: windows start from the last state of the previous window; false: from the initial
            state.

    Raises:
        ValueError: there are no directions.
    """

    unbiased = True

    def __init__(self, directions: int = 1, carry_state: bool = True):
        if directions < 1:
            raise ValueError(f"directions is {directions}: it must be at least 1")
        self.directions, self.carry_state = directions, carry_state

    @torch.no_grad()
    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        trained = {name: weight for name, weight in objective.model.named_parameters() if weight.requires_grad}
        loss_of, state = _Loss(objective.model), state if self.carry_state else None

        def total(values: dict[str, Tensor]) -> tuple[Tensor, Tensor, State]:
            named = {f"model.{name}": value for name, value in values.items()}
            loss, after = torch.func.functional_call(loss_of, named, (batch, state))
            return loss.total, loss.count, after

        values = {name: weight.detach() for name, weight in trained.items()}
        for _ in range(self.directions):
            direction = {name: torch.randn_like(value) for name, value in values.items()}
            try:
                with objective.autocast():
                    (loss, count, after), (slope, *_) = forward_derivative(total, (values,), (direction,))
            except (NotImplementedError, RuntimeError) as error:
                if "jvp" not in str(error) and "forward" not in str(error):
                    raise
                raise TrainingError(
                    f"learning by forward gradients needs derivatives forward in time, which a part of this model does "
                    f"not have ({error}): choose another cell, task or rule"
                ) from error
            estimate = torch.cat([part.flatten() for part in direction.values()]) * slope / self.directions
            add_gradients(list(trained.values()), objective.scaled(estimate))
        return Loss(loss, count), detach(after)


class _Loss(nn.Module):
    """A module whose call is the loss of a model, for `functional_call` with other weights."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, state: State | None) -> tuple[Loss, State]:
        return self.model.loss(batch, state)
