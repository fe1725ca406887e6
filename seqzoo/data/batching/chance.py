"""Random numbers that depend on nothing but a seed and a place in the training."""

from __future__ import annotations

import torch


def generator_at(seed: int, *place: int) -> torch.Generator:
    """Of the epoch, or of the epoch and the batch."""
    for number in place:
        seed = seed * 1_000_003 + number
    return torch.Generator().manual_seed(seed % 2**63)
