"""Training on the score of what a model writes, where likelihood has brought it far enough.

Rennie, Marcheret, Mroueh, Ross & Goel, Self-critical Sequence Training for Image Captioning, 2017,
https://arxiv.org/abs/1612.00563
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Loss
from seqzoo.metrics import MetricName, all_of, create_metric

NOTHING = Loss(torch.zeros(()), torch.ones(()))


@dataclass(frozen=True)
class SelfCritical:
    """metric: what an answer is scored by; none: training is by likelihood alone.

    after: batches of likelihood before; likelihood: its weight from then on.
    """

    acts_with: ClassVar[dict[str, str]] = {"after": "metric!=none", "likelihood": "metric!=none"}

    metric: MetricName = "none"
    after: int = 1000
    likelihood: float = 0.1

    def __post_init__(self) -> None:
        if self.metric != "none":
            metric = create_metric(self.metric)
            if not metric.from_predictions or not metric.higher_is_better:
                raise ValueError(
                    f"metric is {self.metric!r}: name one that reads answers and is higher for better ones"
                )
            if not metric.scores_alone:
                raise ValueError(
                    f"metric is {self.metric!r}: it scores many answers together, and here each is scored alone; "
                    "choose chrf or rouge_l"
                )
        if self.after < 0:
            raise ValueError(f"after is {self.after}: it is 0 or more")
        if not self.likelihood >= 0:
            raise ValueError(f"likelihood is {self.likelihood}: it is 0 or more")


class Critic(nn.Module):
    """Counts the batches, and scores what is drawn by how much better it is than the most probable answer."""

    batches: Tensor

    def __init__(self, options: SelfCritical):
        super().__init__()
        self.options = options
        # among the weights, so that a training that is continued goes on where it was
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def begins(self) -> bool:
        """Whether one more batch is trained on its score."""
        if self.batches.is_meta:  # a model is measured, not trained
            return False
        self.batches += 1
        return int(self.batches) > self.options.after

    def advantages(self, drawn: list[str], greedy: list[str], references: list) -> list[float]:
        """Of each row; a right answer scores 1."""
        rows = zip(drawn, greedy, references, strict=True)
        return [self._score(one, right) - self._score(other, right) for one, other, right in rows]

    def _score(self, answer: str, reference: str | list[str]) -> float:
        best = self._of(all_of(reference)[0], reference)
        return self._of(answer, reference) / best if best > 0 else 0.0

    def _of(self, answer: str, reference: str | list[str]) -> float:
        metric = create_metric(self.options.metric)
        metric.update(NOTHING, [answer], [reference])
        return metric.compute()
