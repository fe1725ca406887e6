"""Forced decoding: the score of a given text."""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.tasks.decoding.hypothesis import Start, Step, check_numbers


def forced_decoding(start: Start, step: Step, targets: Tensor, lengths: Tensor) -> Tensor:
    """Log-probabilities of given targets.

    Args:
        start: the first log-probabilities, state and memory.
        step: one step of the model.
        targets: (B, U).
        lengths: (B,), of the targets.

    Returns:
        (B, U), 0 at padded steps.

    Raises:
        DataError: the scores of the model are NaN.
    """
    log_probabilities, state, memory = start
    scores = []
    for u in range(targets.shape[1]):
        if u > 0:
            log_probabilities, state = step(targets[:, u - 1], state, memory)
        check_numbers(log_probabilities)
        score = log_probabilities.gather(1, targets[:, u, None])[:, 0]
        scores.append(score.masked_fill(u >= lengths, 0.0))
    return torch.stack(scores, dim=1)
