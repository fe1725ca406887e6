"""The base of the heads of language models: a vector, which may be tied to the embedding, and a bias for each token."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seqzoo.network.heads.linear_cross_entropy import SCORES_AT_ONCE


class Head(nn.Module):
    """A distribution over V tokens for each of N feature vectors. `loss` need not compute all of its probabilities.

    Args:
        feature_size: O, the width of the features.
        vocabulary_size: V.
        embedding: (V, E) embeddings of the encoder, to tie the weight of the head to (Press & Wolf, Using the Output
            Embedding to Improve Language Models, 2017, https://aclanthology.org/E17-2025; Inan et al., Tying Word
            Vectors and Word Classifiers, 2017, https://arxiv.org/abs/1611.01462); None: not tied.

    Raises:
        ValueError: the embedding has another number of tokens.
    """

    def __init__(self, feature_size: int, vocabulary_size: int, embedding: nn.Embedding | None = None):
        super().__init__()
        if embedding is not None and embedding.num_embeddings != vocabulary_size:
            raise ValueError(
                f"the encoder has {embedding.num_embeddings} embeddings, and the head has {vocabulary_size} tokens: "
                "tied embeddings need equal numbers"
            )
        output = nn.Linear(feature_size if embedding is None else embedding.embedding_dim, vocabulary_size)
        if embedding is not None:
            output.weight = embedding.weight
            nn.init.zeros_(output.bias)
        self.weight, self.bias = output.weight, output.bias

    @property
    def width(self) -> int:
        """The width of the weight, E."""
        return self.weight.shape[1]

    @abstractmethod
    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Summed negative log-likelihood, in nats.

        Args:
            features: (N, O).
            targets: ids, (N,); those that are `seqzoo.contracts.masking.IGNORED` do not count.
        """

    @abstractmethod
    def log_probabilities(self, features: Tensor) -> Tensor:
        """Log-probabilities of all tokens, in float32: (..., O) -> (..., V)."""

    def target_log_probabilities(self, features: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities of some tokens, without those of all tokens of all rows in memory.

        Args:
            features: (N, O).
            targets: ids, (N,).

        Returns:
            The log-probability of each target, (N,).
        """
        rows = max(1, SCORES_AT_ONCE.get(features.device.type, 2**22) // len(self.weight))
        parts = zip(features.split(rows), targets.split(rows), strict=True)
        return torch.cat([self.log_probabilities(some).gather(1, ids[:, None])[:, 0] for some, ids in parts])


def onto(feature_size: int, width: int) -> nn.Module:
    """A linear layer from `feature_size` to `width`; the identity where they are equal."""
    return nn.Identity() if feature_size == width else nn.Linear(feature_size, width, bias=False)
