"""The score of a given text."""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.tasks.decoding.hypothesis import Start, Step, check_numbers


def forced_decoding(start: Start, step: Step, targets: Tensor, lengths: Tensor) -> Tensor:
    """(B, U) targets, of which (B,) count -> (B, U) log-probability of each, 0 beyond the length."""
    log_probabilities, state, memory = start
    found = []
    for u in range(targets.shape[1]):
        if u > 0:
            log_probabilities, state = step(targets[:, u - 1], state, memory)
        check_numbers(log_probabilities)
        scores = log_probabilities.gather(1, targets[:, u, None])[:, 0]
        found.append(scores.masked_fill(u >= lengths, 0.0))
    return torch.stack(found, dim=1)
