"""The mixture of softmaxes, whose matrix of log-probabilities has a higher rank than that of one softmax.

Source: Yang et al., Breaking the Softmax Bottleneck: A High-Rank RNN Language Model, 2018, https://arxiv.org/abs/1711.03953
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.masking import IGNORED
from seqzoo.network.heads.head import Head


class MixtureOfSoftmaxes(Head):
    """A mixture of softmaxes: p(w) = sum over k of softmax(U h)_k softmax(E tanh(W_k h) + b)_w.

    Args:
        feature_size: O, the width of the features h.
        vocabulary_size: V.
        mixtures: K, the number of softmaxes.
        embedding: as of `Head`.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, mixtures: int, embedding: nn.Embedding | None = None):
        super().__init__(feature_size, vocabulary_size, embedding)
        if mixtures < 1:
            raise ValueError(f"softmax_mixtures is {mixtures}: mix at least one softmax")
        self.prior = nn.Linear(feature_size, mixtures, bias=False)
        self.latent = nn.Linear(feature_size, mixtures * self.width)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        prior, scores = self._mixed(features)
        nats = F.cross_entropy(scores.flatten(0, 1), targets.repeat_interleave(prior.shape[1]), reduction="none")
        total = (prior - nats.view_as(prior)).logsumexp(-1)
        return -total.where(targets != IGNORED, 0).sum()

    def log_probabilities(self, features: Tensor) -> Tensor:
        prior, scores = self._mixed(features)
        return (prior[..., None] + scores.log_softmax(-1)).logsumexp(-2)

    def _mixed(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(..., O) -> log-probabilities of the mixture's components (..., K) and their logits (..., K, V)."""
        latent = self.latent(features).tanh().unflatten(-1, (-1, self.width))
        return self.prior(features).float().log_softmax(-1), F.linear(latent, self.weight, self.bias).float()
