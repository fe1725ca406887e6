"""Scheduled sampling: in training, a growing share of the decoder's inputs are its own predictions.

Source: Bengio, Vinyals, Jaitly & Shazeer, Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks,
2015, https://arxiv.org/abs/1506.03099
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """The probability 1 - e that an input of the decoder is its own prediction, as a function of i, the number of
    batches so far, where e is

    linear:           1 - i / k
    exponential:      exp(-i / k)
    inverse_sigmoid:  k / (k + exp(i / k))

    Args:
        kind: the schedule; "none": teacher forcing only.
        steps: k, the length of the schedule in batches.
        limit: maximum of the probability.

    Raises:
        ValueError: an option is out of its range.
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
    """Replaces tokens by predictions with the probability of a schedule.

    Args:
        schedule: of the probability.
    """

    batches: Tensor

    def __init__(self, schedule: Schedule):
        super().__init__()
        self.schedule = schedule
        # a buffer, so that checkpoints contain it and a resumed run continues the schedule
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def next_probability(self) -> Tensor:
        """The probability for the next batch; each call counts a batch."""
        i, k = self.batches.float(), self.schedule.steps
        self.batches += 1
        if self.schedule.kind == "linear":
            probability = i / k
        elif self.schedule.kind == "exponential":
            probability = 1 - torch.exp(-i / k)
        else:
            probability = 1 - k / (k + torch.exp(i / k))
        return probability.clamp(max=self.schedule.limit)

    def forward(self, gold: Tensor, predicted: Tensor, probability: Tensor) -> Tensor:
        """Replace each gold token (B,) by the predicted one (B,) with this probability."""
        return torch.where(torch.rand(gold.shape, device=gold.device) < probability, predicted, gold)
