"""Linear scores of each word, its affixes and its neighbours, beside the scores of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import PAD, Spelling
from seqzoo.contracts.masking import mask
from seqzoo.network.heads.hashing import bucket, buckets_for, joined

BUCKETS = 2**16
"""Number of weights per tag."""
WEIGHTS = 2**21
"""Maximum number of weights."""
LONGEST_AFFIX = 4
"""Characters of the longest prefixes and suffixes."""
FARTHEST = 10
"""Maximum number of neighbours on each side."""
DROPOUT = 0.3
"""Share of the features of a word that are dropped in training."""
GAIN = 3.0
"""Factor of the scores, which acts as a larger learning rate of the weights."""


class WordScores(nn.Module):
    """A linear classifier of each word by the word, its neighbours, the pairs that it forms with the nearest ones, and
    its prefixes and suffixes, where the batch has spelling. Two rare features may share a weight.

    Args:
        neighbours: number of neighbours on each side.
        classes: K, number of tags.

    Raises:
        ValueError: `neighbours` is out of its range.

    Shape:
        ids (B, T), lengths (B,) -> (B, T, K).

    Source: Ratnaparkhi, A Maximum Entropy Model for Part-Of-Speech Tagging, 1996, https://aclanthology.org/W96-0213
    """

    def __init__(self, neighbours: int, classes: int):
        super().__init__()
        if not 1 <= neighbours <= FARTHEST:
            raise ValueError(f"neighbours is {neighbours}: it must be from 1 to {FARTHEST}, or 0 for none")
        self.neighbours = neighbours
        self.weight = nn.Parameter(torch.zeros(buckets_for(classes, BUCKETS, WEIGHTS), classes))

    def forward(self, ids: Tensor, lengths: Tensor, spelling: Spelling | None) -> Tensor:
        if ids.is_floating_point():
            raise ValueError("words are read from text, not from numbers: give neighbours=0")
        keys = self._of_neighbours(ids.masked_fill(~mask(lengths, ids.shape[1]), PAD))
        if spelling is not None:
            keys += [affix[spelling.tokens] for affix in _affixes(spelling.forms)]
        buckets = len(self.weight)
        rows = torch.stack([bucket(key, kind, buckets) for kind, key in enumerate(keys)], -1).flatten(0, 1)
        shares = F.dropout(self.weight.new_ones(rows.shape), DROPOUT, self.training) / rows.shape[1] ** 0.5
        scores = F.embedding_bag(rows, self.weight, per_sample_weights=shares, mode="sum")
        return GAIN * scores.view(*ids.shape, -1)

    def _of_neighbours(self, ids: Tensor) -> list[Tensor]:
        """Keys (B, T) of words at all distances, and of the pairs with the word before and the word after."""
        steps, reach = ids.shape[1], self.neighbours
        padded = F.pad(ids, (reach, reach), value=PAD)
        words = [padded[:, place : place + steps] for place in range(2 * reach + 1)]
        before, word, after = words[reach - 1 : reach + 2]
        return [*words, joined(before, word), joined(word, after)]


def _affixes(forms: Tensor) -> list[Tensor]:
    """Keys (W,) of the prefixes and suffixes of words, from the shortest to the longest; a short word is its own."""
    lengths = (forms != PAD).sum(1)
    prefix, suffix = forms.new_zeros(len(forms)), forms.new_zeros(len(forms))
    affixes = []
    for place in range(min(LONGEST_AFFIX, forms.shape[1])):
        last = forms.gather(1, (lengths - 1 - place).clamp(min=0)[:, None])[:, 0]
        prefix = joined(prefix, forms[:, place])
        suffix = joined(suffix, last.masked_fill(lengths <= place, PAD))
        affixes += [prefix, suffix]
    return affixes
