"""Linear scores of the n-grams of a text and of its words, beside the scores of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import PAD, Spelling
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
OF_A_WORD = 5
"""Characters of the longest n-grams of a word."""
GAIN = 5.0
"""Factor of the scores, which acts as a larger learning rate of the weights."""


class NgramScores(nn.Module):
    """A linear classifier of the n-grams of a text and, where the batch has spelling, of the n-grams of characters of
    its words.

    The beginning and the end of a text and of a word are tokens, too. An n-gram has a weight for each class. N-grams
    of tokens count once per text, however often they occur, and those of characters as often as they occur; both sums
    are divided by the square root of their number of terms. Weights are found by hashing, so that two rare n-grams may
    share them.

    Args:
        longest: the longest n-grams, in tokens; shorter ones are read as well.
        classes: K, number of classes.
        spelled: whether batches have spelling.

    Raises:
        ValueError: `longest` is out of its range.

    Shape:
        ids (B, T), lengths (B,), spelling -> (B, K).

    Source: Wang & Manning, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification, 2012,
    https://aclanthology.org/P12-2018; trained as in Joulin et al., Bag of Tricks for Efficient Text
    Classification, 2017, https://aclanthology.org/E17-2068; n-grams of characters as in Bojanowski et al., Enriching
    Word Vectors with Subword Information, 2017, https://aclanthology.org/Q17-1010.
    """

    def __init__(self, longest: int, classes: int, spelled: bool = False):
        super().__init__()
        if not 1 <= longest <= LONGEST:
            raise ValueError(f"ngrams is {longest}: it must be from 1 to {LONGEST}, or 0 for none")
        self.longest = longest
        buckets = buckets_for(classes, BUCKETS, WEIGHTS)
        self.weight = nn.Parameter(torch.zeros(buckets, classes))
        self.character_weight = nn.Parameter(torch.zeros(buckets, classes)) if spelled else None

    def forward(self, ids: Tensor, lengths: Tensor, spelling: Spelling | None = None) -> Tensor:
        if ids.is_floating_point():
            raise ValueError("n-grams are read from text, not from numbers: give ngrams=0")
        scores, count = self._sums(self._distinct(ids, lengths), self.weight)
        scores = scores / count.clamp(min=1).sqrt()
        if self.character_weight is not None and spelling is not None:
            of_words, counts = self._sums(
                _of_characters(spelling.forms, len(self.character_weight)), self.character_weight
            )
            real = mask(lengths, ids.shape[1])[..., None]
            total = (of_words[spelling.tokens] * real).sum(1)
            scores = scores + total / (counts[spelling.tokens] * real).sum(1).clamp(min=1).sqrt()
        return GAIN * scores

    def _sums(self, indices: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The sums (R, K) of the weights of each row, and their numbers (R, 1); -1 is no weight."""
        present = (indices >= 0).to(weight.dtype)
        kept = F.dropout(present, DROPOUT, self.training)
        sums = F.embedding_bag(indices.clamp(min=0), weight, per_sample_weights=kept, mode="sum")
        return sums, present.sum(1, keepdim=True)

    def _distinct(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The weights of the different n-grams of each text, (B, N); -1 where it has fewer than N."""
        read = ids.masked_fill(~mask(lengths, ids.shape[1]), PAD)
        indices = _ngrams(read, lengths, self.longest, len(self.weight))
        ordered = indices.sort(1).values
        repeated = F.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
        return ordered.masked_fill(repeated, -1)


def _of_characters(forms: Tensor, buckets: int) -> Tensor:
    """The weights of the n-grams of each word (W, L): (W, N)."""
    return _ngrams(forms, (forms != PAD).sum(1), OF_A_WORD, buckets)


def _ngrams(ids: Tensor, lengths: Tensor, longest: int, buckets: int) -> Tensor:
    """The weights of the n-grams of each row (R, L) and the PAD before and after it, (R, N); -1: beyond the row."""
    marked = F.pad(ids, (1, 1), value=PAD)
    real = mask(lengths + 2, marked.shape[1])
    key, indices = marked, []
    for n in range(1, min(longest, marked.shape[1]) + 1):
        if n > 1:
            key = joined(key[:, :-1], marked[:, n - 1 :])
        indices.append(bucket(key, n, buckets).masked_fill(~real[:, n - 1 :], -1))
    return torch.cat(indices, 1)
