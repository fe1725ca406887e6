"""Metrics of the loss: a sum divided by a count."""

from __future__ import annotations

import math

from seqzoo.contracts.batch import Loss


class MeanLoss:
    """Mean loss of one target, whatever the task takes for a loss.

    loss_unit: the `Task.loss_unit` of the losses that it is a metric of; None for any.
    """

    name = "loss"
    loss_unit: str | None = None
    higher_is_better = False
    from_predictions = False
    scores_alone = False

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0.0

    def update(self, loss: Loss, answers: list, references: list) -> None:
        self.total += float(loss.total)
        self.count += float(loss.count)

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class LossNats(MeanLoss):
    """Mean negative log-likelihood of one target, in nats."""

    name = "loss_nats"
    loss_unit = "nats"


class Perplexity(LossNats):
    """e to the mean loss: among how many equally likely targets the model hesitates; inf beyond what a float holds."""

    name = "perplexity"

    def compute(self) -> float:
        try:
            return math.exp(super().compute())
        except OverflowError:
            return math.inf


class BitsPerCharacter(LossNats):
    """Mean loss of one target, in bits; the targets are taken to be characters."""

    name = "bits_per_character"

    def compute(self) -> float:
        return super().compute() / math.log(2)


class MeanSquaredError(MeanLoss):
    """Mean loss of one number, whose loss is its squared error."""

    name = "mse"
    loss_unit = "squared error"
