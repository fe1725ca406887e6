"""Self-critical sequence training: a policy gradient on a score, with the score of the greedy answer as the baseline.

Source: Rennie, Marcheret, Mroueh, Ross & Goel, Self-critical Sequence Training for Image Captioning, 2017,
https://arxiv.org/abs/1612.00563
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Loss
from seqzoo.metrics import MetricName, all_of, create_metric

NO_LOSS = Loss(torch.zeros(()), torch.ones(()))  # for metrics of answers, which ignore the loss


@dataclass(frozen=True)
class SelfCritical:
    """The options of self-critical training.

    Args:
        metric: the score to maximise; "none": maximum likelihood only.
        after: number of batches of maximum likelihood training before it.
        likelihood: weight of the likelihood loss from then on.

    Raises:
        ValueError: an option is out of its range, or the metric cannot score a single answer.
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
    """Computes the advantages of sampled answers over greedy ones.

    Args:
        options: of self-critical training.
    """

    batches: Tensor

    def __init__(self, options: SelfCritical):
        super().__init__()
        self.options = options
        # a buffer, so that checkpoints contain it and a resumed run continues the count
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def begins(self) -> bool:
        """Whether the next batch is trained on its score; each call counts a batch."""
        if self.batches.is_meta:  # the cost of the model is being counted
            return False
        self.batches += 1
        return int(self.batches) > self.options.after

    def advantages(self, sampled: list[str], greedy: list[str], references: list) -> list[float]:
        """The score of each sampled answer minus that of the greedy one; a correct answer scores 1."""
        rows = zip(sampled, greedy, references, strict=True)
        return [self._score(sample, reference) - self._score(best, reference) for sample, best, reference in rows]

    def _score(self, answer: str, reference: str | list[str]) -> float:
        """The score of an answer relative to that of its reference."""
        highest = self._metric_of(all_of(reference)[0], reference)
        return self._metric_of(answer, reference) / highest if highest > 0 else 0.0

    def _metric_of(self, answer: str, reference: str | list[str]) -> float:
        metric = create_metric(self.options.metric)
        metric.update(NO_LOSS, [answer], [reference])
        return metric.compute()
