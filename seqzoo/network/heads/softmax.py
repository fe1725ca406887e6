"""A score for every token."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seqzoo.network.heads.class_loss import ClassLoss
from seqzoo.network.heads.head import Head, onto
from seqzoo.network.heads.linear_cross_entropy import SCORES_AT_ONCE, linear_cross_entropy


class Softmax(Head):
    """The full softmax: p(w) = softmax(E h + b)_w, or other outputs of these scores.

    Args:
        feature_size, vocabulary_size, embedding: as of `Head`.
        objective: the loss in training, and the probabilities that scores stand for; None: cross-entropy of a softmax.
    """

    def __init__(
        self,
        feature_size: int,
        vocabulary_size: int,
        embedding: nn.Embedding | None = None,
        objective: ClassLoss | None = None,
    ):
        super().__init__(feature_size, vocabulary_size, embedding)
        self.projection = onto(feature_size, self.width)
        self.objective = objective or ClassLoss()

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        if not self.objective.in_nats or self.objective.outputs != "softmax":
            return self._in_chunks(self.objective, features, targets)
        features, smoothing = self.projection(features), self.objective.smoothing
        return linear_cross_entropy(features[None], self.weight, self.bias, targets[None], None, smoothing).total

    def own_loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The loss by the formula of the objective, also outside training; arguments as of `loss`."""
        return self._in_chunks(self.objective.own, features, targets)

    def _in_chunks(self, loss: Callable[[Tensor, Tensor], Tensor], features: Tensor, targets: Tensor) -> Tensor:
        """A sum over chunks of rows, whose scores are computed again for the gradient if there are several."""

        def of_chunk(features: Tensor, targets: Tensor) -> Tensor:
            return loss(F.linear(self.projection(features), self.weight, self.bias), targets)

        rows = max(1, SCORES_AT_ONCE.get(features.device.type, 2**22) // len(self.weight))
        if len(targets) <= rows:
            return of_chunk(features, targets)
        chunks = zip(features.split(rows), targets.split(rows), strict=True)
        return torch.stack([checkpoint(of_chunk, *chunk, use_reentrant=False) for chunk in chunks]).sum()

    def log_probabilities(self, features: Tensor) -> Tensor:
        return self.objective.log_probabilities(F.linear(self.projection(features), self.weight, self.bias))
