"""Backpropagation through time: the exact gradient of a batch's loss.

Source: Werbos, Backpropagation Through Time: What It Does and How to Do It, 1990, https://doi.org/10.1109/5.58337
Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories, 1990 (the
truncated form), https://doi.org/10.1162/neco.1990.2.4.490
"""

from __future__ import annotations

from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.state import detach
from seqzoo.learning.rule import LearningRule, Objective


class BackpropagationThroughTime(LearningRule):
    """Backpropagates the loss of a batch through all its steps.

    The gradient is exact if rows are whole sequences. If batches are windows of longer texts, it is truncated at the
    beginning of each window.

    Args:
        carry_state: windows start from the last state of the previous window; False: from the initial state.
    """

    exact = True

    def __init__(self, carry_state: bool = True):
        self.carry_state = carry_state

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        loss, state = objective.loss(batch, state if self.carry_state else None)
        objective.scaled(loss.total).backward()
        return Loss(loss.total.detach(), loss.count), detach(state)
