"""What every head has: a vector and a bias for each token, which may be the encoder's own."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class Head(nn.Module):
    """(N, O) features -> a distribution over V tokens. It never has to write out all of it to say what was right.

    embedding: None, or the (V, E) vectors by which the encoder reads tokens; they are then those of the head, too
        (Press & Wolf, Using the Output Embedding to Improve Language Models, 2017, https://aclanthology.org/E17-2025;
        Inan et al., Tying Word Vectors and Word Classifiers, 2017, https://arxiv.org/abs/1611.01462).
    """

    def __init__(self, feature_size: int, vocabulary_size: int, embedding: nn.Embedding | None = None):
        super().__init__()
        if embedding is not None and embedding.num_embeddings != vocabulary_size:
            raise ValueError(
                f"the encoder reads {embedding.num_embeddings} tokens, and the head writes {vocabulary_size}"
            )
        output = nn.Linear(feature_size if embedding is None else embedding.embedding_dim, vocabulary_size)
        if embedding is not None:
            output.weight = embedding.weight
            nn.init.zeros_(output.bias)
        self.weight, self.bias = output.weight, output.bias

    @property
    def width(self) -> int:
        """Of a token's vector."""
        return self.weight.shape[1]

    @abstractmethod
    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """(N, O) features and (N,) ids -> nats, summed over ids that are not IGNORED (`seqzoo.contracts.masking`)."""

    @abstractmethod
    def log_probabilities(self, features: Tensor) -> Tensor:
        """(..., O) -> (..., V), float32."""


def onto(feature_size: int, width: int) -> nn.Module:
    """Features as wide as a token's vector: by a learned projection where they are not."""
    return nn.Identity() if feature_size == width else nn.Linear(feature_size, width, bias=False)
