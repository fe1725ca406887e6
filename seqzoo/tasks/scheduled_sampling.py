"""A decoder that comes to read its own writing in training, as it does later.

Bengio, Vinyals, Jaitly & Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, 2015,
https://arxiv.org/abs/1506.03099
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """kind: after i batches each token is an own one with probability 1 - e, where e is

    linear:           1 - i / k
    exponential:      exp(-i / k)
    inverse_sigmoid:  k / (k + exp(i / k))

    steps: k; limit: the probability stays here once it is there.
    """

    acts_with: ClassVar[dict[str, str]] = {"steps": "kind!=none", "limit": "kind!=none"}

    kind: Literal["none", "linear", "exponential", "inverse_sigmoid"] = "none"
    steps: int = 1000
    limit: float = 0.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: it is at least 1")
        if not 0 <= self.limit <= 1:
            raise ValueError(f"limit is {self.limit}: it is a share, between 0 and 1")


class ScheduledSampling(nn.Module):
    """Counts the batches, and mixes what is read."""

    batches: Tensor

    def __init__(self, schedule: Schedule):
        super().__init__()
        self.schedule = schedule
        # among the weights, so that a training that is continued goes on where it was
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def share(self) -> Tensor:
        """The probability for one more batch."""
        i, k = self.batches.float(), self.schedule.steps
        self.batches += 1
        if self.schedule.kind == "linear":
            share = i / k
        elif self.schedule.kind == "exponential":
            share = 1 - torch.exp(-i / k)
        else:
            share = 1 - k / (k + torch.exp(i / k))
        return share.clamp(max=self.schedule.limit)

    def forward(self, right: Tensor, own: Tensor, share: Tensor) -> Tensor:
        """(B,) tokens, some of which become the own ones."""
        return torch.where(torch.rand(right.shape, device=right.device) < share, own, right)
