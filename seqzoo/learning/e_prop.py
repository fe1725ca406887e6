"""Eligibility propagation: the derivatives of a unit by its own weights, without those through recurrent connections.

Source: Bellec et al., A Solution to the Learning Dilemma for Recurrent Networks of Spiking Neurons, 2020,
https://doi.org/10.1038/s41467-020-17236-y
Murray, Local Online Learning in Recurrent Networks with Random Feedback, 2019 (RFLO), https://doi.org/10.7554/eLife.43299
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from seqzoo.learning.linear_products import RandomFeedback
from seqzoo.learning.rtrl import RealTimeRecurrentLearning
from seqzoo.network.model import Model


class EligibilityPropagation(RealTimeRecurrentLearning):
    """SnAp-1 whose J leaves out products with hidden-to-hidden matrices, so that a weight needs only what is known at
    its unit: its eligibility, and an error that comes from the outputs.

    Of a leaky unit the decay of its state remains, of a gated cell its gates. A step takes O(P) operations.

    Args:
        feedback: how errors come from the outputs: symmetric: through the weights of the head; random: through fixed
            random matrices in place of its linear layers, as in RFLO.
        carry_state: for running text: windows start from the last state of the previous window, with its derivatives;
            false: from the initial state.
    """

    recurrent = False

    def __init__(self, feedback: Literal["symmetric", "random"] = "symmetric", carry_state: bool = True):
        super().__init__(1, carry_state)
        self.feedback = RandomFeedback() if feedback == "random" else None

    def bytes_needed(self, model: Model, rows: int) -> int:
        return 0  # not more than the weights, for each row

    def through_head(self, model: Model) -> AbstractContextManager[Any]:
        return nullcontext() if self.feedback is None else self.feedback.through(model.task)

    def content(self) -> dict[str, Any]:
        return {**super().content(), **({} if self.feedback is None else self.feedback.content())}

    def restore(self, content: dict[str, Any]) -> None:
        super().restore(content)
        if self.feedback is not None:
            self.feedback.restore(content)
