"""Linear-chain conditional random fields.

The score of a tag sequence is the sum of the scores of its tags and of the transitions between neighbours. Transitions
are (K + 1, K + 1), from the tag of the row to the tag of the column; the last row is the start and the last column the
end of a sequence. In `best_tags`, -inf forbids a transition; elsewhere it may have no gradient. The only tag sequence
of length 0 is empty and has score 0.

Source: Lafferty et al., Conditional Random Fields, 2001 (https://repository.upenn.edu/handle/20.500.14332/6188);
Lample et al., Neural Architectures for Named Entity Recognition, 2016 (https://aclanthology.org/N16-1030).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.contracts.masking import mask, zero_padding


class LinearChain(nn.Module):
    """Learned transitions between K tags, initially zero, so that the tags are independent at first."""

    def __init__(self, tags: int):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags + 1, tags + 1))

    def forward(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Log-probability of tag sequences, in nats.

        Args:
            scores: (B, T, K), of each tag at each step.
            tags: (B, T).
            lengths: (B,).

        Returns:
            (B,)
        """
        return score(scores, tags, lengths, self.transitions) - log_partition(scores, lengths, self.transitions)


def score(scores: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """The scores (B,) of tag sequences; arguments as of `LinearChain.forward`."""
    real, outside = mask(lengths, tags.shape[1]), transitions.shape[0] - 1
    tags = tags.masked_fill(~real, 0)  # a padded step may hold any number, which need not be an index
    tag_scores = scores.gather(2, tags[:, :, None])[:, :, 0]
    pairs = transitions[tags[:, :-1], tags[:, 1:]]
    within = tag_scores.masked_fill(~real, 0).sum(1) + pairs.masked_fill(~real[:, 1:], 0).sum(1)
    last = tags.gather(1, (lengths[:, None] - 1).clamp(min=0))[:, 0]
    return (within + transitions[outside, tags[:, 0]] + transitions[last, outside]).masked_fill(lengths < 1, 0)


def log_partition(scores: Tensor, lengths: Tensor, transitions: Tensor) -> Tensor:
    """The log-partition function (B,) by the forward algorithm.

    A step is a matrix product, which is three times as fast as a logsumexp over (B, K, K). It is computed in float64,
    where a sequence underflows only if its score is 700 nats below another one.
    """
    between, first, last = _parts(transitions.double())
    highest = between.detach().max()
    weights = (between - highest).exp()
    steps, real = zero_padding(scores, lengths).double().unbind(1), mask(lengths, scores.shape[1])[:, :, None].unbind(1)
    total = first + steps[0]
    for t in range(1, len(steps)):
        best = total.detach().amax(1, keepdim=True)
        longer = ((total - best).exp() @ weights).log() + (best + highest) + steps[t]
        total = torch.where(real[t], longer, total)
    return (total + last).logsumexp(1).to(scores.dtype).masked_fill(lengths < 1, 0)


@torch.no_grad()
def best_tags(scores: Tensor, lengths: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor]:
    """The tag sequence of the highest score, by the Viterbi algorithm.

    Args:
        scores: (B, T, K), of each tag at each step.
        lengths: (B,).
        transitions: (K + 1, K + 1).

    Returns:
        The tags (B, T), which are arbitrary at padded steps, and their scores (B,).

    Source: Viterbi, Error Bounds for Convolutional Codes, 1967 (https://doi.org/10.1109/TIT.1967.1054010).
    """
    between, first, last = _parts(transitions)
    steps, real = scores.unbind(1), mask(lengths, scores.shape[1])[:, :, None].unbind(1)
    total, backpointers = first + steps[0], []
    unchanged = torch.arange(scores.shape[2], device=scores.device).expand_as(total)
    for t in range(1, len(steps)):
        longer, previous = (total[:, None, :] + between.t()).max(2)  # the best previous tag of each tag
        total = torch.where(real[t], longer + steps[t], total)
        backpointers.append(torch.where(real[t], previous, unchanged))
    best_scores, tag = (total + last).max(1)
    tags = [tag]
    for previous in reversed(backpointers):
        tags.append(previous.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], 1), best_scores.masked_fill(lengths < 1, 0)


def _parts(transitions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Transitions between tags (K, K), from the start (K,) and to the end (K,)."""
    return transitions[:-1, :-1], transitions[-1, :-1], transitions[:-1, -1]
