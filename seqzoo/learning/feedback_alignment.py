"""Feedback alignment through time: backpropagation with fixed random matrices in place of the transposed weights.

Source: Lillicrap, Cownden, Tweed & Akerman, Random Synaptic Feedback Weights Support Error Backpropagation for Deep
Learning, 2016, https://doi.org/10.1038/ncomms13276
"""

from __future__ import annotations

from typing import Any

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.state import detach
from seqzoo.learning.linear_products import RandomFeedback
from seqzoo.learning.rule import LearningRule, Objective


class FeedbackAlignment(LearningRule):
    """Errors go back through every linear layer, and through every recurrent connection, by a fixed random matrix
    instead of its weights, which need not be known where the error is used. The weights learn to agree with it.

    Cells run step by step. Products that are not linear layers, such as those of diagonal recurrences, convolutions and
    normalised or orthogonal weights, keep their derivatives.

    Args:
        carry_state: for running text: windows start from the last state of the previous window; false: from the initial
            state.
    """

    def __init__(self, carry_state: bool = True):
        self.carry_state, self.feedback = carry_state, RandomFeedback()

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        model = objective.model
        cells = [module for module in model.modules() if isinstance(module, Cell)]
        engines = [cell.engine for cell in cells]
        try:
            for cell in cells:
                cell.engine = "reference"
            with self.feedback.through(model) as products:
                loss, state = objective.loss(batch, state if self.carry_state else None)
        finally:
            for cell, engine in zip(cells, engines, strict=True):
                cell.engine = engine
        if not products.replaced:
            raise TrainingError("feedback alignment replaces linear layers, which this model does not have")
        objective.scaled(loss.total).backward()
        return Loss(loss.total.detach(), loss.count), detach(state)

    def content(self) -> dict[str, Any]:
        return self.feedback.content()

    def restore(self, content: dict[str, Any]) -> None:
        self.feedback.restore(content)
