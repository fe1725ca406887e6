"""Linear scores of the n-grams of a text, beside the scores of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.masking import mask
from seqzoo.network.heads.hashing import bucket, buckets_for, joined

WEIGHTS = 2**20
"""Maximum number of weights."""
BUCKETS = 2**18
"""Maximum number of weights per class."""
LONGEST = 10
"""Maximum length of n-grams, in tokens."""
DROPOUT = 0.3
"""Share of the n-grams of a text that are dropped in training."""
GAIN = 10.0
"""Factor of the scores, which acts as a larger learning rate of the weights."""


class NgramScores(nn.Module):
    """A linear classifier of the n-grams of a text.

    An n-gram has a weight for each class. It counts once per text, however often it occurs, and the scores are divided
    by the square root of the number of n-grams. Weights are found by hashing, so that two rare n-grams may share them.

    Args:
        longest: the longest n-grams, in tokens; shorter ones are read as well.
        classes: K, number of classes.

    Raises:
        ValueError: `longest` is out of its range.

    Shape:
        ids (B, T), lengths (B,) -> (B, K).

    Source: Wang & Manning, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification, 2012,
    https://aclanthology.org/P12-2018; trained as in Joulin et al., Bag of Tricks for Efficient Text
    Classification, 2017, https://aclanthology.org/E17-2068.
    """

    def __init__(self, longest: int, classes: int):
        super().__init__()
        if not 1 <= longest <= LONGEST:
            raise ValueError(f"ngrams is {longest}: it must be from 1 to {LONGEST}, or 0 for none")
        self.longest = longest
        self.weight = nn.Parameter(torch.zeros(buckets_for(classes, BUCKETS, WEIGHTS), classes))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        if ids.is_floating_point():
            raise ValueError("n-grams are read from text, not from numbers: give ngrams=0")
        indices = self._distinct(ids, lengths)
        present = (indices >= 0).to(self.weight.dtype)
        norm = present.sum(1, keepdim=True).clamp(min=1).sqrt()
        shares = F.dropout(present, DROPOUT, self.training) / norm
        return GAIN * F.embedding_bag(indices.clamp(min=0), self.weight, per_sample_weights=shares, mode="sum")

    def _distinct(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The weights of the different n-grams of each text, (B, N); -1 where it has fewer than N."""
        real, key = mask(lengths, ids.shape[1]), ids
        indices: list[Tensor] = []
        for n in range(1, min(self.longest, max(ids.shape[1], 1)) + 1):
            if n > 1:
                key = joined(key[:, :-1], ids[:, n - 1 :])
            indices.append(bucket(key, n, len(self.weight)).masked_fill(~real[:, n - 1 :], -1))
        ordered = torch.cat(indices, 1).sort(1).values
        repeated = F.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
        return ordered.masked_fill(repeated, -1)
