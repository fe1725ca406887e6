"""The full softmax."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.network.heads.head import Head, onto
from seqzoo.network.heads.linear_cross_entropy import linear_cross_entropy


class Softmax(Head):
    """The full softmax: p(w) = softmax(E h + b)_w; arguments as of `Head`."""

    def __init__(self, feature_size: int, vocabulary_size: int, embedding: nn.Embedding | None = None):
        super().__init__(feature_size, vocabulary_size, embedding)
        self.projection = onto(feature_size, self.width)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        features = self.projection(features)
        return linear_cross_entropy(features[None], self.weight, self.bias, targets[None], None).total

    def log_probabilities(self, features: Tensor) -> Tensor:
        return F.linear(self.projection(features), self.weight, self.bias).float().log_softmax(-1)
