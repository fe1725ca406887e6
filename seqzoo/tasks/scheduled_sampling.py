"""A decoder that comes to read its own writing in training, as it does later.

Bengio, Vinyals, Jaitly & Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, 2015,
https://arxiv.org/abs/1506.03099
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Schedule = Literal["none", "linear", "exponential", "inverse_sigmoid"]


class ScheduledSampling(nn.Module):
    """After i batches each token is an own one with probability 1 - e, where e is

    linear:           1 - i / k
    exponential:      exp(-i / k)
    inverse_sigmoid:  k / (k + exp(i / k))

    steps: k; limit: the probability stays here once it is there.
    """

    batches: Tensor

    def __init__(self, schedule: Schedule, steps: int, limit: float):
        super().__init__()
        if steps < 1:
            raise ValueError(f"sampling_steps is {steps}: it is at least 1")
        if not 0 <= limit <= 1:
            raise ValueError(f"sampling_limit is {limit}: it is a share, between 0 and 1")
        self.schedule, self.steps, self.limit = schedule, steps, limit
        # among the weights, so that a training that is continued goes on where it was
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def share(self) -> Tensor:
        """The probability for one more batch."""
        i, k = self.batches.float(), self.steps
        self.batches += 1
        if self.schedule == "linear":
            share = i / k
        elif self.schedule == "exponential":
            share = 1 - torch.exp(-i / k)
        else:
            share = 1 - k / (k + torch.exp(i / k))
        return share.clamp(max=self.limit)

    def forward(self, right: Tensor, own: Tensor, share: Tensor) -> Tensor:
        """(B,) tokens, some of which become the own ones."""
        return torch.where(torch.rand(right.shape, device=right.device) < share, own, right)
