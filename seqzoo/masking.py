"""What is made of real steps alone, from lengths; where these are None, all steps are real."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts import Loss

IGNORED = -100
"""Instead of a target: none is wanted. torch's own losses know the number."""


def mask(lengths: Tensor, steps: int) -> Tensor:
    """(B,) -> (B, T), True where a step is real."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def mean_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F), zero at padded steps -> (B, F)"""
    return outputs.mean(1) if lengths is None else outputs.sum(1) / lengths[:, None]


def largest_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, F), the largest of each feature."""
    if lengths is not None:
        outputs = outputs.masked_fill(~mask(lengths, outputs.shape[1])[..., None], float("-inf"))
    return outputs.amax(1)


def ignore_padding(targets: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) -> (B, T), IGNORED at padded steps. Leaving those out, a GPU would have to wait for their number."""
    return targets.masked_fill(~mask(lengths, targets.shape[1]), IGNORED)


def cross_entropy(scores: Tensor, targets: Tensor, lengths: Tensor | None, label_smoothing: float = 0.0) -> Loss:
    """scores: (B, T, K), targets: (B, T) -> nats summed over the real steps, and how many; lengths None: all are.

    label_smoothing: share of the right answer's probability that is spread over all K.
    """
    if lengths is not None:
        targets = ignore_padding(targets, lengths)
        count = lengths.sum()
    else:
        # torch.tensor would make a GPU wait for the host
        count = torch.full((), targets.numel(), device=targets.device)
    # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
    total = F.cross_entropy(
        scores.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return Loss(total, count)
