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

from seqzoo.contracts.batch import State
from seqzoo.contracts.state import reorder
from seqzoo.tasks.decoding.constraints import NEVER, UNCONSTRAINED, Constraint
from seqzoo.tasks.decoding.hypothesis import Hypothesis, Start, Step, check_numbers


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
    """The `n_best` different hypotheses of each row, best first. What has ended leaves the beam, which is then smaller;
    a row leaves the batch when nothing goes on, or nothing that could come to rank among the best.

    limits: (B,) tokens after which a hypothesis stops without an end, at least 1.
    length_penalty: alpha; the rank is the score / ((5 + length) / 6)^alpha, where the length counts the end. 0 prefers
        short texts.
    penalty: a state and a memory -> (N,) at most 0, added to the rank, such as what of the source nobody attended to.
    groups: beams of `size / groups` that are searched one after the other at each step. A token costs a later group
        `diversity` nats for each time that an earlier one has chosen it there; scores stay log-probabilities.

    Raises DataError where the constraints leave nothing to write, and where the model's scores are not numbers.
    """
    log_probabilities, state, memory = start
    size //= groups
    # beams: `groups` of each row, one after the other; hypotheses of a beam are equal at first: one is enough
    rows = torch.arange(len(limits), device=limits.device).repeat(groups)
    group = torch.arange(groups, device=limits.device).repeat_interleave(len(limits))
    totals = log_probabilities.new_full((len(rows), size), NEVER)
    totals[:, 0] = 0.0
    place = torch.arange(len(rows), device=rows.device) * size  # of each hypothesis that goes on, among all places
    log_probabilities, state, memory = log_probabilities[rows], reorder(state, rows), reorder(memory, rows)
    written = rows.new_empty(len(rows), 0)
    found: dict[tuple[int, int], list[Hypothesis]] = {key: [] for key in _keys(rows, group)}
    for length in range(1, int(limits.max()) + 1):
        keys, of_row = _keys(rows, group), rows[place // size]
        check_numbers(log_probabilities)
        allowed = constraints(log_probabilities, written, of_row, end)
        banks = constraints.banks(written, of_row, allowed.shape[1]) if constraints.amount else None
        room = torch.tensor([size - len(found[key]) for key in keys], device=rows.device)
        best, origin, token = _candidates(totals, place, allowed, banks, rows, group, groups, diversity)
        best = best.masked_fill(torch.arange(best.shape[1], device=rows.device) >= room[:, None], NEVER)
        for beam in best[:, 0].isneginf().nonzero()[:, 0].tolist():
            if not found[keys[beam]]:
                own = place // size == beam
                raise constraints.unmet(int(rows[beam]), log_probabilities[own], written[own], end)
        last = limits[rows] <= length
        ended = torch.zeros_like(token, dtype=torch.bool) if end is None else token == end
        ending = (ended | last[:, None]) & ~best.isneginf()
        ranks = best / ((5 + length) / 6) ** length_penalty
        if penalty is not None:
            ranks = ranks + penalty(state, memory)[origin]
        for i, j in ending.nonzero().tolist():
            ids = written[origin[i, j]].tolist() + ([] if ended[i, j] else [int(token[i, j])])
            found[keys[i]].append(Hypothesis(ids, float(best[i, j]), float(ranks[i, j])))

        totals = best.masked_fill(ending, NEVER)
        # a score only falls, and at its limit the length excuses most
        hopes = (totals.amax(1) / ((5 + limits[rows]) / 6) ** length_penalty).tolist()
        n = min(n_best, size)
        going = [hope > _worst_of_best(found[key], n) for key, hope in zip(keys, hopes, strict=True)]
        stay = torch.tensor(going, device=rows.device).nonzero()[:, 0]
        if not len(stay):
            break
        rows, group, totals = rows[stay], group[stay], totals[stay]
        place = (~totals.flatten().isneginf()).nonzero()[:, 0]
        origin, token = origin[stay].flatten()[place], token[stay].flatten()[place]
        if not torch.equal(rows[place // size], of_row):
            memory = reorder(memory, origin)
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
    place: Tensor,
    log_probabilities: Tensor,
    banks: Tensor | None,
    rows: Tensor,
    group: Tensor,
    groups: int,
    diversity: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best next tokens of each beam, best first: (R, K) scores, the hypothesis each goes on from, and the token.

    totals: (R, size) scores so far; place: (N,) where the hypotheses that go on stand in it.
    """
    beams, size = totals.shape
    number = place.new_zeros(beams * size).index_put_((place,), torch.arange(len(place), device=place.device))
    if groups == 1 and banks is None:
        # the best of a beam are among the best of each hypothesis, of which there are far fewer than tokens
        values, tokens = log_probabilities.topk(min(size, log_probabilities.shape[1]))
    else:
        values = log_probabilities
        tokens = torch.arange(values.shape[1], device=place.device).expand_as(values)
    width = values.shape[1]
    scores = values.new_full((beams * size, width), NEVER)
    scores[place] = totals.flatten()[place, None] + values
    scores = scores.view(beams, -1)
    if banks is not None:
        banks = banks.new_zeros(beams * size, width).index_put_((place,), banks).view(beams, -1)
    if groups == 1:
        best, index = _top(scores, banks, size)
    else:
        # the tokens that earlier groups of a row have chosen at this step, and how often
        chosen = scores.new_zeros(int(rows.max()) + 1, width)
        index = torch.zeros(beams, min(size, scores.shape[1]), dtype=torch.long, device=rows.device)
        for turn in range(groups):
            own = (group == turn).nonzero()[:, 0]
            nearby = scores[own] - diversity * chosen[rows[own]].repeat(1, size)
            picked, index[own] = _top(nearby, None if banks is None else banks[own], size)
            taken, real = index[own] % width, (~picked.isneginf()).to(chosen.dtype)
            chosen.index_put_((rows[own, None].expand_as(taken), taken), real, accumulate=True)
        best = scores.gather(1, index)
    origin = number[index // width + size * torch.arange(beams, device=rows.device)[:, None]]
    return best, origin, tokens[origin, index % width]


def _top(scores: Tensor, banks: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
    """(R, size K) -> the best of each row and their places. With banks, the best of each, then the second best of each,
    and so on: more of what is required first.
    """
    wanted = min(size, scores.shape[1])
    if banks is None:
        return scores.topk(wanted)
    amounts = banks.flatten().unique().flip(0).tolist()
    found = [scores.masked_fill(banks != amount, NEVER).topk(wanted) for amount in amounts]
    best = torch.stack([values for values, _ in found], dim=2).flatten(1)
    index = torch.stack([places for _, places in found], dim=2).flatten(1)
    order = best.isneginf().float().argsort(dim=1, stable=True)[:, :wanted]
    return best.gather(1, order), index.gather(1, order)
