"""Optional capabilities of a task, one small protocol each.

A task has a capability if it has the protocol's methods; nothing is registered. `others` are the further models of an
ensemble that write one answer together, each with the batch in its own encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from seqzoo.contracts.batch import Alignment, Batch, Explanation, Features, Prediction, State
from seqzoo.contracts.parts import Network
from seqzoo.contracts.tree_notation import Tree

Others = Sequence[tuple[Network, Batch]]


class Outlook(NamedTuple):
    """The forecast of a series, in the units of its data.

    Attributes:
        names: of the D numbers of a step.
        known: (T, D), the values that were read.
        quantiles: (H, D, Q), of each number at each step, rising; a single one is the forecast itself.
        true: (H, D), the values that came; None: not known.
    """

    names: list[str]
    known: Tensor
    quantiles: Tensor
    true: Tensor | None


class ScoredTree(NamedTuple):
    """A tree with a label for each node.

    Attributes:
        tree: the tree, with the predicted labels.
        probabilities: of these labels.
        true: the correct labels, empty where they are not known; None: none is known.
        classes: all labels that a node may have, in their order.
    """

    tree: Tree
    probabilities: list[float]
    true: list[str] | None = None
    classes: Sequence[str] = ()


class Streamed(NamedTuple):
    """What follows from the new steps of a growing input.

    Attributes:
        answers: the new ones, in their order: a tag or the next token for each step, a piece of a text, the steps of a
            forecast.
        scores: (n, K), of the n new steps: log-probabilities of K tokens or tags, or predicted numbers; None: steps
            have no scores, or there are no new ones.
        prediction: for the whole input, at its end; None: before, or if the answers are all there is.
    """

    answers: list[str]
    scores: Tensor | None = None
    prediction: Prediction | None = None


class TokenScore(NamedTuple):
    """A token and its score.

    Attributes:
        token: as text.
        score: the log-probability of the token given those before it, in nats.
    """

    token: str
    score: float


@runtime_checkable
class Ranks(Protocol):
    """A task that can return several answers per row."""

    def candidates(self, model: Network, batch: Batch, n_best: int) -> list[list[Prediction]]:
        """Up to `n_best` different predictions for each row, best first."""
        ...


@runtime_checkable
class Averages(Protocol):
    """A task whose scores can be averaged over the networks of an ensemble."""

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        """Combine the scores of several networks for one batch.

        Args:
            scores: what `Task.forward` returned for each network.

        Returns:
            Scores of the same form, whose probabilities, or numbers, are the means of theirs.
        """
        ...


@runtime_checkable
class Writes(Protocol):
    """A task that generates its answers token by token, which allows streaming and ensembles."""

    def candidates(self, model: Network, batch: Batch, n_best: int, others: Others = ()) -> list[list[Prediction]]:
        """Up to `n_best` different predictions for each row, best first."""
        ...

    def stream(self, model: Network, batch: Batch, write: Callable[[str], None], others: Others = ()) -> Prediction:
        """Predict a batch of one row; `write` is called with each piece of the text once it is final."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A task that answers while its input still grows."""

    def begin_stream(self) -> Any:
        """What the task remembers of an input of which nothing has been read.

        Raises:
            ConfigError: with its options the task answers whole inputs only; the message says what to choose instead.
        """
        ...

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[Any]) -> list[Streamed]:
        """The answers to new steps of several inputs.

        Args:
            model: the model of this task.
            batch: the new steps, of which an encoder may not have made vectors yet.
            features: new outputs of the backbone, none in rows of length 0.
            memories: of each row; they change.
        """
        ...

    def end_stream(self, memory: Any) -> Streamed:
        """What follows from the end of an input.

        Raises:
            DataError: nothing has been read.
        """
        ...


@runtime_checkable
class Exports(Protocol):
    """A task whose scores follow from an input by operations on tensors alone, so that they can be exported."""

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        """The scores of a batch without targets: (B, T, K) for each step, or (B, K) for each row.

        They are log-probabilities of classes, tags or tokens, or predicted numbers.

        Raises:
            ConfigError: with its options the task needs more; the message says what to choose instead.
        """
        ...


@runtime_checkable
class Searches(Protocol):
    """A task whose answers are searched token by token, by operations on tensors alone."""

    def start(self, features: Features, batch: Batch) -> tuple[Tensor, State, State]:
        """Log-probabilities of the first token (B, V), the state before it, and a memory that all steps share."""
        ...

    def step(self, model: Network) -> Callable[[Tensor, State, State], tuple[Tensor, State]]:
        """A function of tokens (B,), state and memory -> log-probabilities of the next token (B, V), and the state."""
        ...


@runtime_checkable
class UsesLanguage(Protocol):
    """A task whose search adds the scores of a language model."""

    def use_language(self, language: Any) -> None:
        """Add the scores of a `seqzoo.tasks.decoding.language.Language` from now on."""
        ...


@runtime_checkable
class BeginsTexts(Protocol):
    """A task that continues texts, so that others can use it as their language model."""

    @property
    def line_end(self) -> str:
        """The token that ends a text; empty if there is none."""
        ...

    def beginning(self, model: Network, batch: Batch, features: Features, others: Others) -> tuple[Any, Any]:
        """The `Start` and the `Step` of decoding."""
        ...


@runtime_checkable
class ScoresTexts(Protocol):
    """A task that predicts each token of a text from those before it."""

    def scored(self, text: str) -> str:
        """The text to score, with its end marker."""
        ...

    def score_texts(self, model: Network, batch: Batch, others: Others = ()) -> list[list[TokenScore]]:
        """The score of each token of each row."""
        ...

    def target_scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(B, T, O) features -> (B, T): the log-probability of each target, in nats, 0 at padded steps."""
        ...


@runtime_checkable
class FitsBeforehand(Protocol):
    """A task with parameters that are fitted to the data before the first update, and are not trained."""

    def fit_beforehand(self, train: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Fit them.

        Args:
            train: batches of the training split.
            validation: batches of the validation split.
        """
        ...


@runtime_checkable
class Calibrates(Protocol):
    """A task with parameters that are fitted on the validation split after training, with the best weights."""

    def calibrate(self, model: Network, encoded: Iterable[tuple[Batch, Features]]) -> bool:
        """Fit them.

        Args:
            model: the network that the task is the head of.
            encoded: the batches of the split in order, with their features; they are computed only if they are read.

        Returns:
            Whether they have changed.
        """
        ...


@runtime_checkable
class ScoresAnswers(Protocol):
    """A task that can compute the probability of a given answer."""

    def score_answers(
        self, model: Network, batch: Batch, answers: list[str], others: Others = ()
    ) -> list[list[TokenScore]]:
        """The score of each token of each row's answer, and of its end."""
        ...


@runtime_checkable
class Aligns(Protocol):
    """A task whose answers have attention weights.

    Attributes:
        alignment_needs: what the model must have for that, as a noun phrase for messages.
    """

    alignment_needs: str

    def alignments(self, model: Network, batch: Batch, others: Others = ()) -> list[Alignment]:
        """The attention weights for each row; empty where the model has none."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A task that can attribute its answers to input steps.

    Attributes:
        explanation_needs: what the model must have for that, as a noun phrase for messages.
    """

    explanation_needs: str

    def explain(self, model: Network, batch: Batch, n_best: int = 1) -> list[list[Explanation]]:
        """An explanation for each of the `n_best` answers of each row, as many as `candidates` returns; empty where the
        model cannot explain them.
        """
        ...


@runtime_checkable
class HasLinearReadout(Protocol):
    """A task whose scores are a linear function of features, which least squares can be solved for.

    Attributes:
        head: the function.
    """

    head: nn.Module

    def readout_rows(self, features: Features, batch: Batch) -> tuple[Tensor, Tensor]:
        """The inputs of the head at all targets that are learned, (N, F), and these targets, (N, D)."""
        ...


@runtime_checkable
class Composes(Protocol):
    """A task that writes music."""

    def continued(self, model: Network, batch: Batch) -> list[Tensor]:
        """The frames that follow each row, (U, K)."""
        ...

    def harmonised(self, model: Network, batch: Batch) -> list[Tensor]:
        """Frames (T, K) with the melody of each row, the highest note of each of its steps, and further voices."""
        ...


@runtime_checkable
class AnswersNumbers(Protocol):
    """A task whose answers are numbers, which a function may predict in place of a network."""

    def answers_by(self, predict: Callable[[Batch], Tensor], batch: Batch) -> list:
        """The answers to a batch with targets.

        Args:
            predict: returns numbers of the shape of the targets.
            batch: the batch.
        """
        ...


@runtime_checkable
class Forecasts(Protocol):
    """A task that continues series of numbers."""

    def outlooks(self, model: Network, batch: Batch) -> list[Outlook]:
        """The forecast of each row."""
        ...


@runtime_checkable
class LabelsTrees(Protocol):
    """A task that labels the nodes of trees."""

    def labelled_trees(self, model: Network, batch: Batch) -> list[ScoredTree]:
        """The tree of each row."""
        ...


class Report(Protocol):
    """A confusion matrix over a split."""

    classes: list[str]
    counts: list[list[int]]

    def update(self, predictions: list[Prediction], references: list) -> None: ...
    def by_class(self) -> dict[str, dict[str, float]]: ...
    def to_plain(self) -> dict[str, Any]: ...


@runtime_checkable
class Reports(Protocol):
    """A task whose answers are classes, one per row or one per step."""

    def report(self) -> Report:
        """An empty confusion matrix."""
        ...
