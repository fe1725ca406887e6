"""Metrics of the loss: the summed loss divided by the number of targets."""

from __future__ import annotations

import math

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.metric import Metric


class MeanLoss(Metric):
    """Mean loss per target."""

    name = "loss"
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
    """Mean negative log-likelihood per target, in nats."""

    name = "loss_nats"
    loss_unit = "nats"


class FrameNll(LossNats):
    """Mean negative log-likelihood per frame of notes, in nats (Boulanger-Lewandowski et al. 2012)."""

    name = "frame_nll"


class FrameNllBound(MeanLoss):
    """An upper bound of `frame_nll`, from a distribution over frames whose likelihood cannot be computed (an RBM)."""

    name = "frame_nll_bound"


class Perplexity(LossNats):
    """The exponential of the mean negative log-likelihood per target; inf where a float would overflow."""

    name = "perplexity"

    def compute(self) -> float:
        try:
            return math.exp(super().compute())
        except OverflowError:
            return math.inf


class BitsPerCharacter(LossNats):
    """Mean negative log-likelihood per target, in bits, of targets that are characters."""

    name = "bits_per_character"

    def compute(self) -> float:
        return super().compute() / math.log(2)


class MeanSquaredError(MeanLoss):
    """Mean squared error per number."""

    name = "mse"
    loss_unit = "squared error"
