"""The outputs of all steps become one vector for each sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Features
from seqzoo.contracts.masking import largest_of, mask, mean_of, softmax_over, zero_padding
from seqzoo.network.heads.attention import Additive

PoolingName = Literal["last", "middle", "mean", "max", "attention", "target", "target_attention"]


class Pooling(nn.Module):
    """(B, T, O) -> (B, P), by one way or by several side by side.

    last: the output once all has been read.
    middle: the output in the middle, from both sides where the backbone has two: for windows cut around a place, such
        as a junction in DNA.
    mean, max: over the real steps.
    attention: a mean with a learned weight a step (Yang et al., Hierarchical Attention Networks, 2016,
        https://aclanthology.org/N16-1174).
    target: the output once the target has been read, from both sides where the backbone has two (TD-LSTM; Tang et al.,
        Effective LSTMs for Target-Dependent Sentiment Classification, 2016, https://aclanthology.org/C16-1311).
    target_attention: a mean whose weights answer the target (Tang, Qin & Liu, Aspect Level Sentiment Classification
        with Deep Memory Network, 2016, https://aclanthology.org/D16-1021).

    A row of length 0 is pooled to zeros.

    output_size: P, O for each way.
    """

    def __init__(self, feature_size: int, ways: PoolingName | list[PoolingName]):
        super().__init__()
        self.ways = [ways] if isinstance(ways, str) else ways
        if not self.ways or len(set(self.ways)) < len(self.ways):
            raise ValueError(f"pooling is {ways}: name at least one way, and none twice")
        self.output_size = feature_size * len(self.ways)
        if "attention" in self.ways:
            self.attention = nn.Sequential(
                nn.Linear(feature_size, feature_size), nn.Tanh(), nn.Linear(feature_size, 1, bias=False)
            )
        if "target_attention" in self.ways:
            self.target_attention = Additive(feature_size, feature_size, feature_size)

    def forward(self, features: Features) -> Tensor:
        pooled = torch.cat([self._pool(way, features) for way in self.ways], dim=-1)
        return pooled if features.lengths is None else pooled.masked_fill((features.lengths < 1)[:, None], 0)

    def weights(self, features: Features) -> Tensor | None:
        """(B, T), what the attention weighs each step by, zero where padded; None without attention."""
        for way in self.ways:
            if way in ("attention", "target_attention"):
                return self._attend(way, features)[1]
        return None

    def _pool(self, way: PoolingName, features: Features) -> Tensor:
        match way:
            case "last":
                return features.last
            case "middle":
                return _middle(features)
            case "mean":
                return mean_of(features.outputs, features.lengths)
            case "max":
                return largest_of(features.outputs, features.lengths)
            case "target":
                return features.target
            case _:
                return self._attend(way, features)[0]

    def _attend(self, way: PoolingName, features: Features) -> tuple[Tensor, Tensor]:
        """(B, O) and the weights (B, T)."""
        outputs = features.outputs
        if way == "attention":
            outputs = zero_padding(outputs, features.lengths)
            scores = self.attention(outputs)[..., 0]
            real = None if features.lengths is None else mask(features.lengths, outputs.shape[1])
            weights = softmax_over(scores, real)
            return (weights[:, None] @ outputs)[:, 0], weights
        memory = self.target_attention.remember(outputs, features.lengths)
        contexts, rows = self.target_attention(features.target[:, None], memory)
        return contexts[:, 0], rows[:, 0]


def _middle(features: Features) -> Tensor:
    """(B, O)"""
    outputs = features.outputs
    if features.lengths is None:
        return outputs[:, outputs.shape[1] // 2]
    index = (features.lengths // 2)[:, None, None].expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index)[:, 0]
