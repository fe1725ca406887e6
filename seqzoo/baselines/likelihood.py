"""The loss of probabilities, in the form of a task's loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import torch
from numpy.typing import NDArray

from seqzoo.baselines.contract import Split
from seqzoo.contracts.batch import Loss


def log_loss(split: Split, probabilities: Sequence[float] | NDArray[numpy.float64]) -> Loss | None:
    """The negative log-likelihood of the correct answers in nats; None where the loss of the task is another one, or an
    answer is impossible.

    Args:
        split: whose task has the loss.
        probabilities: of the correct answer of each target.
    """
    if split.task.loss_unit != "nats" or not len(probabilities) or min(probabilities) <= 0:
        return None
    total = -numpy.log(numpy.asarray(probabilities, dtype=float)).sum()
    return Loss(torch.tensor(total), torch.tensor(len(probabilities)))
