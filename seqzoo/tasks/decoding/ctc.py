"""Decoding of connectionist temporal classification: each step writes a token or the blank.

A path of one token or blank per step stands for the text that remains when repetitions are merged and blanks are left
out. Sources:

    Graves, Fernandez, Gomez & Schmidhuber, Connectionist Temporal Classification, 2006,
    https://doi.org/10.1145/1143844.1143891
    Hannun, Maas, Jurafsky & Ng, First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
    Recurrent DNNs, 2014, https://arxiv.org/abs/1408.2873 (prefix beam search with a language model)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Prefix = tuple[int, ...]

NextScores = Callable[[Sequence[Prefix]], Tensor]
"""Prefixes -> what is added to the rank of each of them by the token that follows, (N, V), and by its end, (N,) in the
last column: (N, V + 1). -inf forbids a token."""

NEVER = float("-inf")


class Found(NamedTuple):
    """A text that the prefix beam search has found.

    Attributes:
        ids: its tokens.
        score: its log-probability in nats, summed over the paths that were kept.
        rank: `score` plus what `NextScores` added.
    """

    ids: list[int]
    score: float
    rank: float


def merged(path: Sequence[int], blank: int) -> list[int]:
    """The tokens of a path: repetitions are merged and blanks left out."""
    return [token for token, _ in itertools.groupby(path) if token != blank]


def required_steps(ids: Sequence[int]) -> int:
    """The number of steps that a text needs: one for each token, and a blank between equal ones."""
    return len(ids) + sum(a == b for a, b in itertools.pairwise(ids))


def best_path(log_probabilities: Tensor, blank: int) -> list[list[int]]:
    """Greedy decoding: the tokens of the most probable path of each row.

    Args:
        log_probabilities: of the tokens of each step, (B, T, V).
        blank: the id of the blank.
    """
    return [merged(path, blank) for path in log_probabilities.argmax(-1).tolist()]


def prefix_beam_search(
    log_probabilities: Tensor,
    blank: int,
    beam_size: int,
    n_best: int = 1,
    next_scores: NextScores | None = None,
    widest: int = 20,
) -> list[Found]:
    """Search the text whose paths are the most probable together.

    Args:
        log_probabilities: of the tokens of each step of one row, (T, V).
        blank: the id of the blank.
        beam_size: number of prefixes that are kept after each step.
        n_best: number of texts to return.
        next_scores: of a language model or a list of words; None: none.
        widest: number of the most probable tokens of a step that may extend a prefix.

    Returns:
        Up to `n_best` texts, best first; at least one, unless every text is forbidden.
    """
    values, tokens = log_probabilities.topk(min(widest, log_probabilities.shape[1]), -1)
    blanks = log_probabilities[:, blank].tolist()
    whole = log_probabilities.tolist()
    beam: dict[Prefix, _Ends] = {(): _Ends(0.0, NEVER)}
    added: dict[Prefix, float] = {(): 0.0}
    for step, (row, ids) in enumerate(zip(values.tolist(), tokens.tolist(), strict=True)):
        following: dict[Prefix, _Ends] = {}
        prefixes = list(beam)
        bonus = None if next_scores is None else next_scores(prefixes).tolist()
        for number, prefix in enumerate(prefixes):
            in_blank, in_token = beam[prefix]
            total = _plus(in_blank, in_token)
            same = whole[step][prefix[-1]] + in_token if prefix else NEVER
            _add(following, prefix, total + blanks[step], same)
            for value, token in zip(row, ids, strict=True):
                if token == blank or value == NEVER:
                    continue
                extra = 0.0 if bonus is None else bonus[number][token]
                if extra == NEVER:
                    continue
                longer = (*prefix, token)
                # after its own token, only a path that ends in a blank writes it again
                before = in_blank if prefix and prefix[-1] == token else total
                if before > NEVER:
                    _add(following, longer, NEVER, before + value)
                    added[longer] = added[prefix] + extra
        ranked = sorted(following, key=lambda prefix: -(_plus(*following[prefix]) + added[prefix]))
        beam = {prefix: following[prefix] for prefix in ranked[:beam_size]}
    ends = [0.0] * len(beam) if next_scores is None else next_scores(list(beam))[:, -1].tolist()
    texts = [
        Found(list(prefix), score := _plus(*beam[prefix]), score + added[prefix] + end)
        for prefix, end in zip(beam, ends, strict=True)
        if end > NEVER
    ]
    return sorted(texts, key=lambda text: -text.rank)[:n_best]


class _Ends(NamedTuple):
    """The log-probabilities of the paths of a prefix that end in a blank, and in its last token."""

    in_blank: float
    in_token: float


def _plus(a: float, b: float) -> float:
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))


def _add(beam: dict[Prefix, _Ends], prefix: Prefix, in_blank: float, in_token: float) -> None:
    ends = beam.get(prefix)
    if ends is not None:
        in_blank, in_token = _plus(ends.in_blank, in_blank), _plus(ends.in_token, in_token)
    beam[prefix] = _Ends(in_blank, in_token)


def align(log_probabilities: Tensor, ids: Sequence[int], blank: int) -> list[int]:
    """Forced alignment: which token of a given text each step of the most probable path writes.

    Args:
        log_probabilities: of the tokens of each step of one row, (T, V).
        ids: tokens of the text, which has to fit: `required_steps` is at most T.
        blank: the id of the blank.

    Returns:
        For each step, the index of its token in `ids`; -1 for the blank.
    """
    states = [blank, *itertools.chain.from_iterable((token, blank) for token in ids)]
    emitted = log_probabilities[:, torch.tensor(states)].double()
    skips = torch.tensor([i > 1 and i % 2 == 1 and states[i] != states[i - 2] for i in range(len(states))])
    best = torch.full((len(states),), NEVER, dtype=torch.double)
    best[:2] = emitted[0, :2]
    backwards = []
    for row in emitted[1:]:
        by_one = torch.cat([best.new_full((1,), NEVER), best[:-1]])
        by_two = torch.cat([best.new_full((2,), NEVER), best[:-2]])[: len(best)].masked_fill(~skips, NEVER)
        best, moves = torch.stack([best, by_one, by_two]).max(0)
        backwards.append(moves.tolist())
        best = best + row
    state = len(states) - 1 if len(states) == 1 or best[-1] >= best[-2] else len(states) - 2
    path = [state]
    for moves in reversed(backwards):
        state -= moves[state]
        path.append(state)
    return [state // 2 if state % 2 else -1 for state in reversed(path)]
