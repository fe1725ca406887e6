"""What a task may be able to do besides predicting, one small protocol each; whoever needs it asks for the protocol.

A task has a capability by having its methods: there is nothing to declare. Where several models write one answer,
`others` are the models beside the task's own, each with the rows as it reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from seqzoo.contracts.batch import Alignment, Batch, Explanation, Prediction

Others = Sequence[tuple[Any, Batch]]


class TokenScore(NamedTuple):
    """score: the log-probability of the token after those before it, in nats."""

    token: str
    score: float


@runtime_checkable
class Ranks(Protocol):
    """It finds several answers."""

    def candidates(self, model: Any, batch: Batch, n_best: int) -> list[list[Prediction]]:
        """Up to `n_best` different predictions of each row, best first."""


@runtime_checkable
class Writes(Protocol):
    """It writes its answers token by token: they can be shown as they come, and models can write together."""

    def candidates(self, model: Any, batch: Batch, n_best: int, others: Others = ()) -> list[list[Prediction]]:
        """Up to `n_best` different predictions of each row, best first."""

    def stream(self, model: Any, batch: Batch, write: Callable[[str], None], others: Others = ()) -> Prediction:
        """The prediction of a batch of one row, whose text is handed to `write` piece by piece once it is known."""


@runtime_checkable
class ScoresTexts(Protocol):
    """It predicts each token of a text from those before it."""

    def scored(self, text: str) -> str:
        """A text that is to be scored, with what ends it."""

    def score_texts(self, model: Any, batch: Batch, others: Others = ()) -> list[list[TokenScore]]:
        """The score of each token of each row."""

    def target_scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(B, T, O) features -> (B, T): the log-probability of each target, in nats, 0 at padded steps."""


@runtime_checkable
class ScoresAnswers(Protocol):
    """It knows the probability of an answer that is given to it."""

    def score_answers(
        self, model: Any, batch: Batch, answers: list[str], others: Others = ()
    ) -> list[list[TokenScore]]:
        """The score of each token of an answer to each row, and of its end."""


@runtime_checkable
class Aligns(Protocol):
    """It knows what each answer attended to.

    alignment_needs: what a run must have for that, as a noun.
    """

    alignment_needs: str

    def alignments(self, model: Any, batch: Batch, others: Others = ()) -> list[Alignment]:
        """One for each row; empty where the run lacks what is needed."""


@runtime_checkable
class Explains(Protocol):
    """It knows what each answer rests on.

    explanation_needs: what a run must have for that, as a noun.
    """

    explanation_needs: str

    def explain(self, model: Any, batch: Batch, n_best: int = 1) -> list[list[Explanation]]:
        """One for each of the `n_best` answers of each row, as many as `candidates` gives; empty where the run lacks
        what is needed.
        """


class Report(Protocol):
    """Which class was answered for which, counted over a split."""

    classes: list[str]
    counts: list[list[int]]

    def update(self, predictions: list[Prediction], references: list) -> None: ...
    def by_class(self) -> dict[str, dict[str, float]]: ...
    def to_plain(self) -> dict[str, Any]: ...


@runtime_checkable
class Reports(Protocol):
    """Its answers are classes, or one class a step."""

    def report(self) -> Report:
        """A fresh count."""
