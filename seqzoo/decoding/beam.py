"""Beam search: the best few hypotheses of each row go on, side by side.

Graves, Sequence Transduction with Recurrent Neural Networks, 2012, https://arxiv.org/abs/1211.3711
Wu et al., Google's Neural Machine Translation System, 2016 (length and coverage), https://arxiv.org/abs/1609.08144
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts import State
from seqzoo.decoding.constraints import UNCONSTRAINED, Constraint
from seqzoo.decoding.search import Hypothesis, Start, Step
from seqzoo.state import reorder


def beam_search(
    start: Start,
    step: Step,
    limits: Tensor,
    end: int | None,
    size: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
    penalty: Callable[[State, State], Tensor] | None = None,
    constraints: Constraint = UNCONSTRAINED,
) -> list[list[Hypothesis]]:
    """The `n_best` hypotheses of each row, best first. A row leaves the batch when `size` hypotheses have ended.

    limits: (B,) tokens after which a hypothesis stops without an end, at least 1.
    length_penalty: alpha; the rank is the score / ((5 + length) / 6)^alpha, where the length counts the end. 0 prefers
        short texts.
    penalty: a state and a memory -> (N,), added to the rank, such as what of the source nobody attended to.

    Raises DataError where the constraints leave nothing to write.
    """
    log_probabilities, state, memory = start
    vocabulary = log_probabilities.shape[1]
    rows = torch.arange(len(limits), device=limits.device)
    every = rows.repeat_interleave(size)
    log_probabilities = log_probabilities[every]
    state, memory = reorder(state, every), reorder(memory, every)
    totals = log_probabilities.new_full((len(rows), size), float("-inf"))
    totals[:, 0] = 0.0  # the hypotheses of a row are equal at first: one is enough
    written = rows.new_empty(len(every), 0)
    found: list[list[Hypothesis]] = [[] for _ in range(len(rows))]
    for length in range(1, int(limits.max()) + 1):
        log_probabilities = constraints(log_probabilities, written, rows.repeat_interleave(size), end)
        candidates = (totals.view(-1, 1) + log_probabilities).view(len(rows), -1)
        # every hypothesis has one end: of twice as many candidates enough go on
        best, index = candidates.topk(min(2 * size, candidates.shape[1]))
        origin = index // vocabulary + size * torch.arange(len(rows), device=rows.device)[:, None]
        token = index % vocabulary
        last = limits[rows] <= length
        ended = torch.zeros_like(token, dtype=torch.bool) if end is None else token == end
        ending = ended | last[:, None]
        ranks = best / ((5 + length) / 6) ** length_penalty
        if penalty is not None:
            ranks = ranks + penalty(state, memory)[origin]
        for i, j in (ending & ~best.isneginf())[:, :size].nonzero().tolist():
            ids = written[origin[i, j]].tolist() + ([] if ended[i, j] else [int(token[i, j])])
            found[int(rows[i])].append(Hypothesis(ids, float(best[i, j]), float(ranks[i, j])))

        going_on = ending.float().argsort(dim=1, stable=True)[:, :size]
        totals = best.masked_fill(ending, float("-inf")).gather(1, going_on)
        enough = torch.tensor([len(found[row]) >= size for row in rows.tolist()], device=rows.device)
        stay = (~(enough | totals.isneginf().all(1))).nonzero()[:, 0]
        if not len(stay):
            break
        origin, token = origin.gather(1, going_on)[stay].flatten(), token.gather(1, going_on)[stay].flatten()
        if len(stay) < len(rows):
            memory = reorder(memory, origin)
        rows, totals = rows[stay], totals[stay]
        written = torch.cat([written[origin], token[:, None]], dim=1)
        log_probabilities, state = step(token, reorder(state, origin), memory)
    for row, hypotheses in enumerate(found):
        if not hypotheses:
            raise constraints.unmet(row)
        hypotheses.sort(key=lambda hypothesis: -hypothesis.rank)
    return [hypotheses[:n_best] for hypotheses in found]
