"""Greedy decoding and sampling: one hypothesis per row, token by token."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts.state import reorder
from seqzoo.tasks.decoding.constraints import UNCONSTRAINED, Constraint
from seqzoo.tasks.decoding.hypothesis import Hypothesis, Start, Step, check_numbers
from seqzoo.tasks.decoding.streaming import Stream

Choose = Callable[[Tensor], Tensor]
"""Chooses the next tokens: log-probabilities (N, V) -> tokens (N,)."""


def most_probable(log_probabilities: Tensor) -> Tensor:
    """The most probable tokens: (N, V) -> (N,)."""
    return log_probabilities.argmax(-1)


def generate(
    start: Start,
    step: Step,
    limits: Tensor,
    end: int | None = None,
    choose: Choose = most_probable,
    constraints: Constraint = UNCONSTRAINED,
    stream: Stream | None = None,
) -> list[Hypothesis]:
    """Generate one hypothesis per row. Finished rows leave the batch.

    Args:
        start: the first log-probabilities, state and memory.
        step: one step of the model.
        limits: maximum number of tokens of each row, (B,), at least 1; a hypothesis stops there without an end.
        end: the token that ends a text; None: there is none.
        choose: greedy by default; `sampling.sampler` samples.
        constraints: on the texts.
        stream: called with the tokens of each step.

    Raises:
        DataError: no text meets the constraints, or the scores of the model are NaN.
    """
    log_probabilities, state, memory = start
    rows = torch.arange(len(limits), device=limits.device)
    written = rows.new_empty(len(rows), 0)
    scores = log_probabilities.new_zeros(len(rows))
    finished: dict[int, Hypothesis] = {}
    for length in range(1, int(limits.max()) + 1):
        check_numbers(log_probabilities)
        allowed = constraints(log_probabilities, written, rows, end)
        for i in allowed.isneginf().all(1).nonzero()[:, 0].tolist():
            raise constraints.unmet(int(rows[i]), log_probabilities[i : i + 1], written[i : i + 1], end)
        token = choose(allowed)
        scores = scores + allowed.gather(1, token[:, None])[:, 0]
        written = torch.cat([written, token[:, None]], dim=1)
        if stream is not None:
            stream(rows.tolist(), token.tolist())
        ended = torch.zeros_like(token, dtype=torch.bool) if end is None else token == end
        done = ended | (limits[rows] <= length)
        if done.any():
            for i in done.nonzero()[:, 0].tolist():
                ids, score = written[i].tolist(), float(scores[i])
                finished[int(rows[i])] = Hypothesis(ids[:-1] if ended[i] else ids, score, score)
            if done.all():
                break
            stay = (~done).nonzero()[:, 0]
            rows, written, scores, token = rows[stay], written[stay], scores[stay], token[stay]
            state, memory = reorder(state, stay), reorder(memory, stay)
        log_probabilities, state = step(token, state, memory)
    return [finished[row] for row in range(len(limits))]
