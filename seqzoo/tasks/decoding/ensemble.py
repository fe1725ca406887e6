"""Several models write one text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.tasks.decoding.hypothesis import Start, Step


def ensemble(starts: Sequence[Start], steps: Sequence[Step]) -> tuple[Start, Step]:
    """Models of one vocabulary as one, whose next token has the mean of their probabilities. Their states and memories
    may be of any shapes.
    """
    if len(starts) == 1:
        return starts[0], steps[0]

    def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        found = [one(token, *own) for one, *own in zip(steps, state, memory, strict=True)]
        return mean_log([log_probabilities for log_probabilities, _ in found]), tuple(after for _, after in found)

    first = mean_log([start.log_probabilities for start in starts])
    return Start(first, tuple(start.state for start in starts), tuple(start.memory for start in starts)), step


def mean_log(log_probabilities: list[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities."""
    return torch.stack(log_probabilities).logsumexp(0) - math.log(len(log_probabilities))
