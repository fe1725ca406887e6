"""Beam search: the best few hypotheses of each row go on, side by side.

Graves, Sequence Transduction with Recurrent Neural Networks, 2012, https://arxiv.org/abs/1211.3711
Wu et al., Google's Neural Machine Translation System, 2016 (length and coverage), https://arxiv.org/abs/1609.08144
Vijayakumar et al., Diverse Beam Search for Improved Description of Complex Scenes, 2018 (groups),
https://arxiv.org/abs/1610.02424
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts import State
from seqzoo.decoding.constraints import NEVER, UNCONSTRAINED, Constraint
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
    groups: int = 1,
    diversity: float = 0.0,
) -> list[list[Hypothesis]]:
    """The `n_best` different hypotheses of each row, best first. A row leaves the batch when none that goes on can
    come to rank among them, or when `size` have ended and none that goes on ranks among them now.

    limits: (B,) tokens after which a hypothesis stops without an end, at least 1.
    length_penalty: alpha; the rank is the score / ((5 + length) / 6)^alpha, where the length counts the end. 0 prefers
        short texts.
    penalty: a state and a memory -> (N,) at most 0, added to the rank, such as what of the source nobody attended to.
    groups: beams of `size / groups` that are searched one after the other at each step. A token costs a later group
        `diversity` nats for each time that an earlier one has chosen it there; scores stay log-probabilities.

    Raises DataError where the constraints leave nothing to write.
    """
    log_probabilities, state, memory = start
    size //= groups
    # what is searched side by side: `size` hypotheses of each group of each row
    rows = torch.arange(len(limits), device=limits.device).repeat(groups)
    group = torch.arange(groups, device=limits.device).repeat_interleave(len(limits))
    every = rows.repeat_interleave(size)
    log_probabilities = log_probabilities[every]
    state, memory = reorder(state, every), reorder(memory, every)
    totals = log_probabilities.new_full((len(rows), size), NEVER)
    totals[:, 0] = 0.0  # the hypotheses of a beam are equal at first: one is enough
    written = rows.new_empty(len(every), 0)
    found: dict[tuple[int, int], list[Hypothesis]] = {key: [] for key in _keys(rows, group)}
    for length in range(1, int(limits.max()) + 1):
        of_row = rows.repeat_interleave(size)
        allowed = constraints(log_probabilities, written, of_row, end)
        banks = constraints.banks(written, of_row, allowed.shape[1]) if constraints.amount else None
        best, origin, token = _candidates(totals, allowed, banks, rows, group, groups, diversity)
        for beam in best[:, 0].isneginf().nonzero()[:, 0].tolist():
            if not found[int(rows[beam]), int(group[beam])]:
                own = slice(beam * size, (beam + 1) * size)
                raise constraints.unmet(int(rows[beam]), log_probabilities[own], written[own], end)
        last = limits[rows] <= length
        ended = torch.zeros_like(token, dtype=torch.bool) if end is None else token == end
        ending = ended | last[:, None]
        ranks = best / ((5 + length) / 6) ** length_penalty
        if penalty is not None:
            ranks = ranks + penalty(state, memory)[origin]
        keys = _keys(rows, group)
        for i, j in (ending & ~best.isneginf())[:, :size].nonzero().tolist():
            ids = written[origin[i, j]].tolist() + ([] if ended[i, j] else [int(token[i, j])])
            found[keys[i]].append(Hypothesis(ids, float(best[i, j]), float(ranks[i, j])))

        going_on = ending.float().argsort(dim=1, stable=True)[:, :size]
        totals = best.masked_fill(ending, NEVER).gather(1, going_on)
        # a score only falls, and at its limit the length excuses most
        hopes = (totals[:, 0] / ((5 + limits[rows]) / 6) ** length_penalty).tolist()
        as_it_is = (totals[:, 0] / ((5 + length) / 6) ** length_penalty).tolist()
        going = [
            (now if len(found[key]) >= size else hope) > _worst_of_best(found[key], min(n_best, size))
            for key, hope, now in zip(keys, hopes, as_it_is, strict=True)
        ]
        stay = torch.tensor(going, device=rows.device).nonzero()[:, 0]
        if not len(stay):
            break
        origin, token = origin.gather(1, going_on)[stay].flatten(), token.gather(1, going_on)[stay].flatten()
        if len(stay) < len(rows):
            memory = reorder(memory, origin)
        rows, group, totals = rows[stay], group[stay], totals[stay]
        written = torch.cat([written[origin], token[:, None]], dim=1)
        log_probabilities, state = step(token, reorder(state, origin), memory)
    return [_best(row, groups, found, n_best) for row in range(len(limits))]


def _keys(rows: Tensor, group: Tensor) -> list[tuple[int, int]]:
    return list(zip(rows.tolist(), group.tolist(), strict=True))


def _worst_of_best(hypotheses: list[Hypothesis], n_best: int) -> float:
    """The rank that a hypothesis has to exceed to be among the best."""
    ranks = sorted((hypothesis.rank for hypothesis in hypotheses), reverse=True)
    return ranks[n_best - 1] if len(ranks) >= n_best else NEVER


def _best(row: int, groups: int, found: dict[tuple[int, int], list[Hypothesis]], n_best: int) -> list[Hypothesis]:
    """Of a row, from all groups; what two groups have written alike counts once."""
    different = {tuple(one.ids): one for number in range(groups) for one in found[row, number]}
    return sorted(different.values(), key=lambda hypothesis: -hypothesis.rank)[:n_best]


def _candidates(
    totals: Tensor,
    log_probabilities: Tensor,
    banks: Tensor | None,
    rows: Tensor,
    group: Tensor,
    groups: int,
    diversity: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(R, K) scores of the best next tokens of each beam, best first; the hypothesis each goes on from; the token."""
    beams, size = totals.shape
    vocabulary = log_probabilities.shape[1]
    hypotheses = size * torch.arange(beams, device=rows.device)[:, None]
    if groups == 1 and banks is None:
        # the best of a beam are among the best of each hypothesis, of which there are far fewer than tokens
        values, tokens = log_probabilities.topk(min(2 * size, vocabulary))
        best, index = _top((totals.view(-1, 1) + values).view(beams, -1), None, size)
        return best, index // values.shape[1] + hypotheses, tokens.view(beams, -1).gather(1, index)
    scores = (totals.view(-1, 1) + log_probabilities).view(beams, -1)
    if groups == 1:
        best, index = _top(scores, banks, size)
    else:
        # the tokens that earlier groups of a row have chosen at this step, and how often
        chosen = scores.new_zeros(int(rows.max()) + 1, vocabulary)
        picked = torch.zeros_like(scores, dtype=torch.long)
        for number in range(groups):
            own = (group == number).nonzero()[:, 0]
            masked = None if banks is None else banks.view(scores.shape)[own]
            _, places = _top(scores[own] - diversity * chosen[rows[own]].repeat(1, size), masked, size)
            picked = picked[:, : places.shape[1]]
            picked[own] = places
            taken = places[:, :size] % vocabulary
            chosen.index_put_((rows[own, None].expand_as(taken), taken), scores.new_ones(taken.shape), accumulate=True)
        index, best = picked, scores.gather(1, picked)
    return best, index // vocabulary + hypotheses, index % vocabulary


def _top(scores: Tensor, banks: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
    """(R, size V) -> the best of each row and their places. Every hypothesis has one end: of twice as many candidates
    enough go on. With banks, the best of each, then the second best of each, and so on: more of what is required first.
    """
    wanted = min(2 * size, scores.shape[1])
    if banks is None:
        return scores.topk(wanted)
    banks = banks.view(scores.shape)
    amounts = banks.flatten().unique().flip(0).tolist()
    found = [scores.masked_fill(banks != amount, NEVER).topk(wanted) for amount in amounts]
    best = torch.stack([values for values, _ in found], dim=2).flatten(1)
    index = torch.stack([places for _, places in found], dim=2).flatten(1)
    order = best.isneginf().float().argsort(dim=1, stable=True)[:, :wanted]
    return best.gather(1, order), index.gather(1, order)
