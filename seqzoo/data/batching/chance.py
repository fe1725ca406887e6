"""Random generators that depend only on a seed and a position in training, so that a resumed run repeats them."""

from __future__ import annotations

import torch


def generator_at(seed: int, *place: int) -> torch.Generator:
    """A generator for a position: the epoch, or the epoch and the number of the batch."""
    for number in place:
        seed = seed * 1_000_003 + number
    return torch.Generator().manual_seed(seed % 2**63)
