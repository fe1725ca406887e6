"""The types that all kinds of decoding share: a start, a step and hypotheses.

Decoding depends on no cell and no task. Letters: B rows are decoded, with N hypotheses in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import DataError

Step = Callable[[Tensor, State, State], tuple[Tensor, State]]
"""One step of a model: tokens (N,), their states and the memory -> log-probabilities (N, V) of the next token, with
-inf for tokens that are never written, and the next state."""


Penalty = Callable[[State, State], Tensor]
"""States and the memory of hypotheses -> numbers of at most 0, (N,), that are added to their ranks."""


class Start(NamedTuple):
    """Where decoding begins.

    Attributes:
        log_probabilities: of the first token, (B, V), float32.
        state: of the model before the first token; it is reordered with the hypotheses.
        memory: nested tuples like a state of what all hypotheses of a row share, such as what a decoder attends to; it
            is reordered only when hypotheses leave the batch.
    """

    log_probabilities: Tensor
    state: State
    memory: State = ()


def check_numbers(log_probabilities: Tensor) -> None:
    """Check the scores of a model.

    Raises:
        DataError: one is NaN.
    """
    if bool(log_probabilities.isnan().any()):
        raise DataError(
            "the model's scores are not numbers (NaN), so that there is no answer: its weights or the input features "
            "are damaged or too large"
        )


class Hypothesis(NamedTuple):
    """A text that a search has found.

    Attributes:
        ids: its tokens, without the end.
        score: its log-probability in nats, with that of the end if there is one.
        rank: by which the hypotheses of a row are sorted.
    """

    ids: list[int]
    score: float
    rank: float
