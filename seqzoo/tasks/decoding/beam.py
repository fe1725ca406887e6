"""Beam search.

Source: Graves, Sequence Transduction with Recurrent Neural Networks, 2012, https://arxiv.org/abs/1211.3711
Wu et al., Google's Neural Machine Translation System, 2016 (length and coverage), https://arxiv.org/abs/1609.08144
Vijayakumar et al., Diverse Beam Search for Improved Description of Complex Scenes, 2018 (groups),
https://arxiv.org/abs/1610.02424
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.state import reorder
from seqzoo.tasks.decoding.constraints import NEVER, UNCONSTRAINED, Constraint
from seqzoo.tasks.decoding.hypothesis import Hypothesis, Penalty, Start, Step, check_numbers


def beam_search(
    start: Start,
    step: Step,
    limits: Tensor,
    end: int | None,
    size: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
    penalty: Penalty | None = None,
    constraints: Constraint = UNCONSTRAINED,
    groups: int = 1,
    diversity: float = 0.0,
) -> list[list[Hypothesis]]:
    """Search for the most probable texts.

    A finished hypothesis leaves the beam, which becomes smaller. A row leaves the batch as soon as none of its
    hypotheses can still rank among the best.

    Args:
        start: the first log-probabilities, state and memory.
        step: one step of the model.
        limits: maximum number of tokens of each row, (B,), at least 1; a hypothesis stops there without an end.
        end: the token that ends a text; None: there is none.
        size: hypotheses per row.
        n_best: number of hypotheses to return.
        length_penalty: alpha of the rank, score / ((5 + length) / 6)^alpha, where the length includes the end. 0
            prefers short texts.
        penalty: added to the ranks, such as a coverage penalty.
        constraints: on the texts.
        groups: number of groups of `size / groups` hypotheses, which are searched one after the other at each step.
        diversity: nats that a token costs a group for each earlier group that has chosen it at this step. Scores remain
            log-probabilities.

    Returns:
        The `n_best` different hypotheses of each row, best first.

    Raises:
        DataError: no text meets the constraints, or the scores of the model are NaN.
    """
    log_probabilities, state, memory = start
    beams = _Beams.empty(len(limits), groups, size // groups, log_probabilities)
    log_probabilities = log_probabilities[beams.rows]
    state, memory = reorder(state, beams.rows), reorder(memory, beams.rows)
    finished: dict[tuple[int, int], list[Hypothesis]] = {key: [] for key in beams.keys}
    for length in range(1, int(limits.max()) + 1):
        keys, written, of_row = beams.keys, beams.written, beams.rows[beams.beam]
        check_numbers(log_probabilities)
        allowed = constraints(log_probabilities, written, of_row, end)
        banks = constraints.banks(written, of_row, allowed.shape[1]) if constraints.amount else None
        best, origin, token = _candidates(beams, allowed, banks, groups, diversity)
        room = torch.tensor([beams.size - len(finished[key]) for key in keys], device=best.device)
        best = best.masked_fill(torch.arange(best.shape[1], device=best.device) >= room[:, None], NEVER)
        for beam in best[:, 0].isneginf().nonzero()[:, 0].tolist():
            if not finished[keys[beam]]:
                in_beam = beams.beam == beam
                raise constraints.unmet(int(beams.rows[beam]), log_probabilities[in_beam], written[in_beam], end)
        ended = torch.zeros_like(token, dtype=torch.bool) if end is None else token == end
        ending = (ended | (limits[beams.rows] <= length)[:, None]) & ~best.isneginf()
        ranks = best / ((5 + length) / 6) ** length_penalty
        if penalty is not None:
            ranks = ranks + penalty(state, memory)[origin]
        for i, j in ending.nonzero().tolist():
            ids = written[origin[i, j]].tolist() + ([] if ended[i, j] else [int(token[i, j])])
            finished[keys[i]].append(Hypothesis(ids, float(best[i, j]), float(ranks[i, j])))
        totals = best.masked_fill(ending, NEVER)
        # an upper bound of the rank: scores only fall, and the length penalty is largest at the limit
        bounds = totals.amax(1) / ((5 + limits[beams.rows]) / 6) ** length_penalty
        stay = _unbeaten(bounds, [finished[key] for key in keys], min(n_best, beams.size))
        if not len(stay):
            break
        beams, origin, token = beams.continued(stay, totals, origin, token)
        if not torch.equal(beams.rows[beams.beam], of_row):
            memory = reorder(memory, origin)
        log_probabilities, state = step(token, reorder(state, origin), memory)
    return [_best(row, groups, finished, n_best) for row in range(len(limits))]


class _Beams(NamedTuple):
    """The N unfinished hypotheses in R beams: a beam for each row of the batch and each group, group after group.

    Attributes:
        rows, group: of each beam, (R,).
        totals: log-probabilities of the hypotheses, (R, size); NEVER where a beam has fewer.
        place: the index of each hypothesis in the flattened totals, (N,).
        written: the tokens of each hypothesis, (N, T).
    """

    rows: Tensor
    group: Tensor
    totals: Tensor
    place: Tensor
    written: Tensor

    @classmethod
    def empty(cls, number: int, groups: int, size: int, log_probabilities: Tensor) -> _Beams:
        """One empty hypothesis in each beam, since all hypotheses of a beam are equal at first."""
        rows = torch.arange(number, device=log_probabilities.device).repeat(groups)
        group = torch.arange(groups, device=rows.device).repeat_interleave(number)
        totals = log_probabilities.new_full((len(rows), size), NEVER)
        totals[:, 0] = 0.0
        place = torch.arange(len(rows), device=rows.device) * size
        return cls(rows, group, totals, place, rows.new_empty(len(rows), 0))

    @property
    def size(self) -> int:
        return self.totals.shape[1]

    @property
    def keys(self) -> list[tuple[int, int]]:
        """The row and the group of each beam."""
        return list(zip(self.rows.tolist(), self.group.tolist(), strict=True))

    @property
    def beam(self) -> Tensor:
        """The beam of each hypothesis, (N,)."""
        return self.place // self.size

    def continued(self, stay: Tensor, totals: Tensor, origin: Tensor, token: Tensor) -> tuple[_Beams, Tensor, Tensor]:
        """The beams after one more token.

        Args:
            stay: the beams that are kept.
            totals: the new totals of all beams, (R, size).
            origin: the hypothesis that each new one continues, (R, size).
            token: the token that is added to it, (R, size).

        Returns:
            The beams, and the origin and the token of each of their hypotheses, (N,).
        """
        totals = totals[stay]
        place = (~totals.flatten().isneginf()).nonzero()[:, 0]
        origin, token = origin[stay].flatten()[place], token[stay].flatten()[place]
        written = torch.cat([self.written[origin], token[:, None]], dim=1)
        return _Beams(self.rows[stay], self.group[stay], totals, place, written), origin, token


def _unbeaten(bounds: Tensor, finished: list[list[Hypothesis]], n_best: int) -> Tensor:
    """The beams whose unfinished hypotheses can still rank among the best.

    Args:
        bounds: upper bounds of the ranks of the unfinished hypotheses of each beam, (R,).
        finished: the finished hypotheses of each beam.
    """
    active = [bound > _worst_of_best(beam, n_best) for bound, beam in zip(bounds.tolist(), finished, strict=True)]
    return torch.tensor(active, device=bounds.device).nonzero()[:, 0]


def _worst_of_best(hypotheses: list[Hypothesis], n_best: int) -> float:
    """The rank that a hypothesis must exceed to be among the best."""
    ranks = sorted((hypothesis.rank for hypothesis in hypotheses), reverse=True)
    return ranks[n_best - 1] if len(ranks) >= n_best else NEVER


def _best(row: int, groups: int, finished: dict[tuple[int, int], list[Hypothesis]], n_best: int) -> list[Hypothesis]:
    """The best hypotheses of a row over all groups, without duplicates."""
    distinct = {tuple(hypothesis.ids): hypothesis for group in range(groups) for hypothesis in finished[row, group]}
    return sorted(distinct.values(), key=lambda hypothesis: -hypothesis.rank)[:n_best]


def _candidates(
    beams: _Beams, log_probabilities: Tensor, banks: Tensor | None, groups: int, diversity: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The best continuations of each beam, best first.

    Returns:
        Scores (R, K), the hypothesis that each continues, and the token.
    """
    rows, group, totals, place, _ = beams
    slots, size = totals.numel(), beams.size
    number = place.new_zeros(slots).index_put_((place,), torch.arange(len(place), device=place.device))
    if groups == 1 and banks is None:
        # the best continuations of a beam are among the best of each hypothesis, which are far fewer than all tokens
        values, tokens = log_probabilities.topk(min(size, log_probabilities.shape[1]))
    else:
        values = log_probabilities
        tokens = torch.arange(values.shape[1], device=place.device).expand_as(values)
    width = values.shape[1]
    scores = values.new_full((slots, width), NEVER)
    scores[place] = totals.flatten()[place, None] + values
    scores = scores.view(len(rows), -1)
    if banks is not None:
        banks = banks.new_zeros(slots, width).index_put_((place,), banks).view(len(rows), -1)
    if groups == 1:
        best, index = _top(scores, banks, size)
    else:
        # how often earlier groups of a row have chosen each token at this step
        chosen = scores.new_zeros(int(rows.max()) + 1, width)
        index = torch.zeros(len(rows), min(size, scores.shape[1]), dtype=torch.long, device=rows.device)
        for number_of_group in range(groups):
            beam = (group == number_of_group).nonzero()[:, 0]
            penalised = scores[beam] - diversity * chosen[rows[beam]].repeat(1, size)
            picked, index[beam] = _top(penalised, None if banks is None else banks[beam], size)
            taken, real = index[beam] % width, (~picked.isneginf()).to(chosen.dtype)
            chosen.index_put_((rows[beam, None].expand_as(taken), taken), real, accumulate=True)
        best = scores.gather(1, index)
    origin = number[index // width + size * torch.arange(len(rows), device=rows.device)[:, None]]
    return best, origin, tokens[origin, index % width]


def _top(scores: Tensor, banks: Tensor | None, size: int) -> tuple[Tensor, Tensor]:
    """The best scores of each row of (R, size K), and their indices.

    With banks, the best of each bank comes first, then the second best of each, and so on, beginning with the bank in
    which most of the required tokens have been written.
    """
    count = min(size, scores.shape[1])
    if banks is None:
        return scores.topk(count)
    amounts = banks.flatten().unique().flip(0).tolist()
    best_of_bank = [scores.masked_fill(banks != amount, NEVER).topk(count) for amount in amounts]
    best = torch.stack([values for values, _ in best_of_bank], dim=2).flatten(1)
    index = torch.stack([places for _, places in best_of_bank], dim=2).flatten(1)
    order = best.isneginf().float().argsort(dim=1, stable=True)[:, :count]
    return best.gather(1, order), index.gather(1, order)
