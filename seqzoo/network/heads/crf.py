"""Linear chains of tags: every way to tag a row has a score, and two algorithms sum over all ways and find the best.

The score of a way is that of its tags, one by one, and of the transitions between neighbours. Transitions are (K + 1,
K + 1), from the row's tag to the column's, where the last row and column are the beginning and the end; -inf forbids.
A row of length 0 has one way, which is empty, with score 0.

Source: Lafferty et al., Conditional Random Fields, 2001 (https://repository.upenn.edu/handle/20.500.14332/6188);
Lample et al., Neural Architectures for Named Entity Recognition, 2016 (https://aclanthology.org/N16-1030).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.contracts.masking import mask, zero_padding


class LinearChain(nn.Module):
    """Learned transitions between K tags; at the start they are zero, and each tag is on its own."""

    def __init__(self, tags: int):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags + 1, tags + 1))

    def forward(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, K) scores, (B, T) tags -> (B,) log-probability of the tags among all ways, in nats."""
        return score(scores, tags, lengths, self.transitions) - log_partition(scores, lengths, self.transitions)


def score(scores: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """(B, T, K), (B, T) -> (B,) the score of one way."""
    real, outside = mask(lengths, tags.shape[1]), transitions.shape[0] - 1
    tags = tags.masked_fill(~real, 0)  # whatever stands at a padded step is no index
    own = scores.gather(2, tags[:, :, None])[:, :, 0]
    pairs = transitions[tags[:, :-1], tags[:, 1:]]
    within = own.masked_fill(~real, 0).sum(1) + pairs.masked_fill(~real[:, 1:], 0).sum(1)
    last = tags.gather(1, (lengths[:, None] - 1).clamp(min=0))[:, 0]
    return (within + transitions[outside, tags[:, 0]] + transitions[last, outside]).masked_fill(lengths < 1, 0)


def log_partition(scores: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """(B, T, K) -> (B,) the log of the summed exponentials of all ways' scores, by the forward algorithm.

    A step is a product of matrices, three times as fast as a logsumexp over (B, K, K); in float64, where a way is lost
    only when it is 700 nats worse than another.
    """
    between, first, last = _parts(transitions.double())
    highest = between.detach().max()
    weights = (between - highest).exp()
    own, real = zero_padding(scores, lengths).double().unbind(1), mask(lengths, scores.shape[1])[:, :, None].unbind(1)
    total = first + own[0]
    for step in range(1, len(own)):
        best = total.detach().amax(1, keepdim=True)
        longer = ((total - best).exp() @ weights).log() + (best + highest) + own[step]
        total = torch.where(real[step], longer, total)
    return (total + last).logsumexp(1).to(scores.dtype).masked_fill(lengths < 1, 0)


@torch.no_grad()
def best_tags(scores: Tensor, lengths: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, K) -> the best way (B, T), with any tags at padded steps, and its score (B,).

    Source: Viterbi, Error Bounds for Convolutional Codes, 1967 (https://doi.org/10.1109/TIT.1967.1054010).
    """
    between, first, last = _parts(transitions)
    own, real = scores.unbind(1), mask(lengths, scores.shape[1])[:, :, None].unbind(1)
    total, before = first + own[0], []
    unchanged = torch.arange(scores.shape[2], device=scores.device).expand_as(total)
    for step in range(1, len(own)):
        longer, tag = (total[:, None, :] + between.t()).max(2)  # of each next tag, over those before it
        total = torch.where(real[step], longer + own[step], total)
        before.append(torch.where(real[step], tag, unchanged))
    found, tag = (total + last).max(1)
    tags = [tag]
    for tag_before in reversed(before):
        tags.append(tag_before.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], 1), found.masked_fill(lengths < 1, 0)


def _parts(transitions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Between tags (K, K), from the beginning (K,) and to the end (K,)."""
    return transitions[:-1, :-1], transitions[-1, :-1], transitions[:-1, -1]
