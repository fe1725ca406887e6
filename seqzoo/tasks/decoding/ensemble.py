"""Ensembles: several models decode together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.tasks.decoding.hypothesis import Penalty, Start, Step


def ensemble(starts: Sequence[Start], steps: Sequence[Step]) -> tuple[Start, Step]:
    """Combine models of the same vocabulary into one, which predicts the mean of their probabilities.

    Args:
        starts: of the models, whose states and memories may have different shapes.
        steps: of the models.
    """
    if len(starts) == 1:
        return starts[0], steps[0]

    def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        results = [one_step(token, *parts) for one_step, *parts in zip(steps, state, memory, strict=True)]
        return mean_log([log_probabilities for log_probabilities, _ in results]), tuple(after for _, after in results)

    first = mean_log([start.log_probabilities for start in starts])
    return Start(first, tuple(start.state for start in starts), tuple(start.memory for start in starts)), step


def of_first(penalty: Penalty) -> Penalty:
    """A penalty that reads the state and the memory of the first model of an ensemble."""
    return lambda state, memory: penalty(state[0], memory[0])


def mean_log(log_probabilities: list[Tensor]) -> Tensor:
    """The logarithm of the mean of the probabilities whose logarithms are given."""
    return torch.stack(log_probabilities).logsumexp(0) - math.log(len(log_probabilities))
