"""Linear scores of each word, its spelling and its neighbours, beside the scores of a network."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import PAD, UNKNOWN, Spelling
from seqzoo.contracts.masking import mask
from seqzoo.contracts.spec import DataSpec
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
GAIN = 12.0
"""Factor of the scores, which acts as a larger learning rate of the weights: with 12 in place of 3, two epochs of 4,000
English sentences gave 92.3 instead of 90.0 % of the parts of speech beside a network and, alone, three epochs of 6,000
93.0 instead of 91.4; 24 is not better.
"""


class WordScores(nn.Module):
    """A linear classifier of each word by the word, its neighbours, and the pairs that it forms with the nearest ones.
    Where the batch has spelling, it also reads prefixes, suffixes and the shape of the word (Xx-d for Ab-1) and, of it
    and the nearest ones, the lower case, the last two and three characters, and the short form of the shape. Two rare
    features may share a weight.

    Args:
        neighbours: number of neighbours on each side.
        spec: of words, with K tags.

    Raises:
        ValueError: `neighbours` is out of its range.

    Shape:
        ids (B, T), lengths (B,) -> (B, T, K).

    Source: Ratnaparkhi, A Maximum Entropy Model for Part-Of-Speech Tagging, 1996, https://aclanthology.org/W96-0213;
    shapes as in Collins, Ranking Algorithms for Named-Entity Extraction, 2002, https://aclanthology.org/P02-1062.
    """

    lower: Tensor
    case: Tensor

    def __init__(self, neighbours: int, spec: DataSpec):
        super().__init__()
        if not 1 <= neighbours <= FARTHEST:
            raise ValueError(f"neighbours is {neighbours}: it must be from 1 to {FARTHEST}, or 0 for none")
        self.neighbours = neighbours
        classes = spec.output_size
        self.weight = nn.Parameter(torch.zeros(buckets_for(classes, BUCKETS, WEIGHTS), classes))
        lower, case = _letters(spec)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("case", case, persistent=False)

    def forward(self, ids: Tensor, lengths: Tensor, spelling: Spelling | None) -> Tensor:
        if ids.is_floating_point():
            raise ValueError("words are read from text, not from numbers: give neighbours=0")
        real = mask(lengths, ids.shape[1])
        words = _around(ids.masked_fill(~real, PAD), self.neighbours)
        before, word, after = words[self.neighbours - 1 : self.neighbours + 2]
        keys = [*words, joined(before, word), joined(word, after)]
        if spelling is not None:
            keys += self._of_spelling(spelling, real)
        buckets = len(self.weight)
        rows = torch.stack([bucket(key, kind, buckets) for kind, key in enumerate(keys)], -1).flatten(0, 1)
        shares = F.dropout(self.weight.new_ones(rows.shape), DROPOUT, self.training) / rows.shape[1] ** 0.5
        scores = F.embedding_bag(rows, self.weight, per_sample_weights=shares, mode="sum")
        return GAIN * scores.view(*ids.shape, -1)

    def _of_spelling(self, spelling: Spelling, real: Tensor) -> list[Tensor]:
        """Keys (B, T) of the spelling of words and of the nearest ones; real: (B, T), steps that are no padding."""
        lower, case = self.lower[spelling.forms], self.case[spelling.forms]
        repeated = F.pad(case[:, 1:] == case[:, :-1], (1, 0))
        affixes = _affixes(lower)
        of_word = [*affixes, _joined_in_order(case)]
        endings = affixes[3:6:2]  # suffixes of two and three characters
        of_nearest = [_joined_in_order(lower), _joined_in_order(case.masked_fill(repeated, PAD)), *endings]
        around = (_around(key[spelling.tokens].masked_fill(~real, PAD), 1) for key in of_nearest)
        return [*(key[spelling.tokens] for key in of_word), *chain.from_iterable(around)]


def _letters(spec: DataSpec) -> tuple[Tensor, Tensor]:
    """Of each character the lower case and the case, which is X, x, d or the character itself, as numbers; both (C,).
    Before the data has been read, both are the character.
    """
    size, codec = spec.character_size, spec.characters
    lower, case = list(range(size)), list(range(size))
    if codec is not None:
        for place, character in enumerate(codec.tokens([*range(size)])):
            if len(character) > 1:  # a special token
                continue
            if (small := codec.encode(character.lower())) and small[0] != UNKNOWN:
                lower[place] = small[0]
            kinds = (character.isupper(), character.islower(), character.isdigit())
            if any(kinds):
                case[place] = size + kinds.index(True)
    return torch.tensor(lower, dtype=torch.long), torch.tensor(case, dtype=torch.long)


def _around(keys: Tensor, reach: int) -> list[Tensor]:
    """The keys (B, T) of the steps at all distances from each step, from the farthest before it; PAD beyond the row."""
    steps, padded = keys.shape[1], F.pad(keys, (reach, reach), value=PAD)
    return [padded[:, place : place + steps] for place in range(2 * reach + 1)]


def _joined_in_order(values: Tensor) -> Tensor:
    """One key (W,) for each row (W, L), without its PAD."""
    key = values.new_zeros(len(values))
    for column in values.unbind(1):
        key = torch.where(column == PAD, key, joined(key, column))
    return key


def _affixes(forms: Tensor) -> list[Tensor]:
    """Keys (W,) of the prefixes and suffixes of words, from the shortest to the longest; a short word is its own."""
    forms = F.pad(forms, (0, max(LONGEST_AFFIX - forms.shape[1], 0)), value=PAD)
    lengths = (forms != PAD).sum(1)
    prefix, suffix = forms.new_zeros(len(forms)), forms.new_zeros(len(forms))
    affixes = []
    for place in range(LONGEST_AFFIX):
        last = forms.gather(1, (lengths - 1 - place).clamp(min=0)[:, None])[:, 0]
        prefix = joined(prefix, forms[:, place])
        suffix = joined(suffix, last.masked_fill(lengths <= place, PAD))
        affixes += [prefix, suffix]
    return affixes
