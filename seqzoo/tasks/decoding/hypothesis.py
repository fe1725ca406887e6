"""What every way to decode knows: where it begins, how it goes on, and what it finds.

A search knows no cell and no task. B rows are searched, each by one or several hypotheses, N in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import DataError

Step = Callable[[Tensor, State, State], tuple[Tensor, State]]
"""(N,) tokens, the state and the memory of each -> (N, V) log-probabilities of the next token, -inf where it is never
written, and the next state."""


class Start(NamedTuple):
    """log_probabilities: (B, V), float32, of the first token.

    state: after which they hold; reordered with the hypotheses.
    memory: nested tuples as a state, of what all hypotheses of a row share, such as what a decoder attends to; it is
        reordered only when hypotheses leave.
    """

    log_probabilities: Tensor
    state: State
    memory: State = ()


def check_numbers(log_probabilities: Tensor) -> None:
    """Raises DataError where one is not a number: whatever is chosen among such would look like an answer."""
    if bool(log_probabilities.isnan().any()):
        raise DataError(
            "The model's scores are not numbers (NaN), so it has no answer: its weights, or the features it reads, are "
            "damaged or too large."
        )


class Hypothesis(NamedTuple):
    """ids: as written, without the end; score: their log-probability in nats, the end's included where one was written;
    rank: what the hypotheses of a row are sorted by.
    """

    ids: list[int]
    score: float
    rank: float
