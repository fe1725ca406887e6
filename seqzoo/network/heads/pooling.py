"""Pooling: the outputs of all steps become one vector per sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Features
from seqzoo.contracts.masking import largest_of, mask, mean_of, softmax_over, zero_padding
from seqzoo.network.heads.attention import Additive

PoolingName = Literal["last", "middle", "mean", "max", "attention", "target", "target_attention"]


class Pooling(nn.Module):
    """Pool the outputs of a backbone: (B, T, O) -> (B, P). Several poolings are concatenated. A row of length 0 gives
    zeros.

    Args:
        feature_size: O.
        names: one pooling or a list of them.
            last: the output after the last step.
            middle: the output at the middle step, for windows around a position, such as a splice site in DNA.
            mean, max: over the real steps.
            attention: a weighted mean with learned weights (Yang et al., Hierarchical Attention Networks, 2016,
            https://aclanthology.org/N16-1174).
            target: the output after the marked target, of both directions where there are two (TD-LSTM; Tang et al.,
            Effective LSTMs for Target-Dependent Sentiment Classification, 2016, https://aclanthology.org/C16-1311).
            target_attention: a mean weighted by attention, where the target is the query (Tang, Qin & Liu, Aspect Level
            Sentiment Classification with Deep Memory Network, 2016, https://aclanthology.org/D16-1021).

    Attributes:
        output_size: P, which is O for each pooling.

    Raises:
        ValueError: there is no name, or one is given twice.
    """

    def __init__(self, feature_size: int, names: PoolingName | list[PoolingName]):
        super().__init__()
        self.names: list[PoolingName] = [names] if isinstance(names, str) else names
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"pooling is {names}: name at least one pooling, and none twice")
        self.output_size = feature_size * len(self.names)
        if "attention" in self.names:
            self.attention = nn.Sequential(
                nn.Linear(feature_size, feature_size), nn.Tanh(), nn.Linear(feature_size, 1, bias=False)
            )
        if "target_attention" in self.names:
            self.target_attention = Additive(feature_size, feature_size, feature_size)

    def forward(self, features: Features) -> Tensor:
        pooled = torch.cat([self._pool(name, features) for name in self.names], dim=-1)
        return pooled if features.lengths is None else pooled.masked_fill((features.lengths < 1)[:, None], 0)

    def weights(self, features: Features) -> Tensor | None:
        """The attention weights (B, T), zero at padded steps; None without attention."""
        for name in self.names:
            if name in ("attention", "target_attention"):
                return self._attend(name, features)[1]
        return None

    def _pool(self, name: PoolingName, features: Features) -> Tensor:
        match name:
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
                return self._attend(name, features)[0]

    def _attend(self, name: PoolingName, features: Features) -> tuple[Tensor, Tensor]:
        """The weighted mean (B, O) and the weights (B, T)."""
        outputs = features.outputs
        if name == "attention":
            outputs = zero_padding(outputs, features.lengths)
            scores = self.attention(outputs)[..., 0]
            real = None if features.lengths is None else mask(features.lengths, outputs.shape[1])
            weights = softmax_over(scores, real)
            return (weights[:, None] @ outputs)[:, 0], weights
        memory = self.target_attention.remember(outputs, features.lengths)
        contexts, weights = self.target_attention(features.target[:, None], memory)
        return contexts[:, 0], weights[:, 0]


def _middle(features: Features) -> Tensor:
    """The output at the middle step, (B, O)."""
    outputs = features.outputs
    if features.lengths is None:
        return outputs[:, outputs.shape[1] // 2]
    index = (features.lengths // 2)[:, None, None].expand(-1, 1, outputs.shape[2])
    return outputs.gather(1, index)[:, 0]
