"""The parts of a model and its data, as every other room knows them: encoder, backbone, metric, task, data module."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction, Spelling, State
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.steps import Steps

EXAMPLE_LETTERS = 8
"""Of a word that is spelled in `Task.example_batch`."""


class Encoder(nn.Module):
    """Ids, features or pictures become the vectors that a backbone reads: `Encoder(input_size, **options)`. Each step
    on its own; a picture becomes a vector for each of its regions.

    A constructor that names `spec` is handed the DataSpec.

    output_size: width of the vectors.
    reads_characters: True where `forward` takes the Spelling of the inputs, too.
    """

    output_size: int
    reads_characters: ClassVar[bool] = False

    def load_pretrained(self) -> None:
        """Takes the weights that its options name to start from: where a training begins, not where a model is only
        measured, or is given its own. Raises DataError where they cannot be had.
        """


class Backbone(nn.Module):
    """A cell becomes a network over (B, T, I): `Backbone(cell, input_size, **options)`, where `cell` is a CellFactory.

    Example:
        >>> model, data = seqzoo.build("task=tagging", "backbone=bidirectional")
        >>> outputs, state = model.backbone(torch.randn(8, 50, model.encoder.output_size))

    causal: True where output t depends on inputs 0..t only; then `step` exists and equals `forward`.
    two_sided: True where the first half of output t depends on inputs 0..t only, the second half on inputs t.. only.
    keeps_time: False where outputs are fewer than inputs; `output_lengths` says how many.
    """

    output_size: int
    causal: bool
    two_sided: bool = False
    keeps_time: bool = True

    @property
    def supports(self) -> Collection[str]:
        """The fields of `Steps` that `forward` reads besides lengths."""
        return ()

    @abstractmethod
    def initial_state(self, batch_size: int) -> State: ...

    @abstractmethod
    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Read whole sequences.

        Args:
            x: input, shape (B, T, I).
            steps: lengths, shape (B,), or Steps; None: all steps are real. `supported(steps, self)` makes Steps of
                any of them, and refuses what the network does not read.
            state: as `initial_state` or an earlier call returned it; None: the initial one.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step; of a network that
            reads backwards, too, that half's state is the one after the first step.

        Raises:
            ValueError: shapes, types, devices or lengths do not fit, or `steps` has a field that is not supported.
        """

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Real steps of each row's input -> of its output, (B,) both."""
        return lengths

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, I) -> (B, O) and the next state."""

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, O) and the outputs' own lengths -> (B, O): the output once all has been read."""
        if lengths is None:
            return outputs[:, -1]
        index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, outputs.shape[-1])
        return outputs.gather(1, index)[:, 0]


BackboneFactory = Callable[[int], Backbone]
"""input_size -> Backbone"""


class Metric:
    """A running sum that becomes one number: `Metric()` has counted nothing.

    name: of the score; by it `task.metrics` names a metric of seqzoo.
    from_predictions: it reads answers, so that somebody must decode; scores_alone: one answer has a score of its own.
    loss_unit: the `Task.loss_unit` of the losses that it is computed from; None for any.
    """

    name: str
    higher_is_better: bool
    from_predictions: bool
    scores_alone: bool
    loss_unit: str | None = None

    @abstractmethod
    def update(self, loss: Loss, answers: list, references: list) -> None:
        """Count one batch: its loss, and its answers and references, which are empty where nobody decoded."""

    @abstractmethod
    def compute(self) -> float:
        """The number for all that has been counted; nan where that is nothing."""


class Task(nn.Module):
    """Head, loss, metrics and decoding of one kind of task: `Task(feature_size, spec, **options)`.

    Example:
        >>> model, data = seqzoo.build("task=tagging")
        >>> batch = next(data.batches("train"))
        >>> scores, state = model(batch)  # model.task turns the backbone's features into scores
        >>> total, count = model.task.loss(scores, batch)
        >>> model.task.decode(model, batch)[0].answer

    reads: the `DataSpec.kind` of the batches that it reads; several tasks may read one kind.
    example_answers: some `Prediction.answer`, on which a metric is tried before data is read; none where no answer is
        right or wrong; None where that is not known.
    skips_empty_text: True where an empty text has an empty answer, without the model.
    loss_unit: of `loss` outside training: "nats" where it is a negative log-likelihood, "squared error", or "" for any
        other objective.
    needs_causal: True where a backbone that looks ahead would see the answer.
    needs_two_sides: True where what a backbone has read before a step and after it must be apart.
    needs_every_step: True where each step of the input has an answer of its own.
    legend: how a line of `show` is read. Brackets hold what is right, wherever there are any.
    """

    reads: ClassVar[str]
    example_answers: ClassVar[Sequence[str | list[str]] | None] = None
    skips_empty_text: ClassVar[bool] = True
    loss_unit: str = ""
    needs_causal: ClassVar[bool] = False
    needs_two_sides: ClassVar[bool] = False
    needs_every_step: ClassVar[bool] = False
    legend: ClassVar[str] = "input -> prediction   (right: the reference, shown where the prediction differs from it)"
    spec: DataSpec

    @abstractmethod
    def forward(self, features: Features, batch: Batch) -> Tensor:
        """Features -> what `loss` reads: scores before any softmax or, where scores of a large vocabulary need not be
        written out, the features they come from."""

    @abstractmethod
    def loss(self, scores: Tensor, batch: Batch) -> Loss: ...

    @property
    def loss_name(self) -> str:
        """The name of the mean loss among the scores."""
        return "loss_nats" if self.loss_unit == "nats" else "loss"

    @property
    def training_loss_name(self) -> str:
        """The name of the mean training loss: `loss` where it is more than a likelihood, such as one with penalties."""
        return self.loss_name

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        """A batch of random content, such as the task reads in training: costs are counted with one.

        Args:
            rows: how many; all are full.
            steps: of each row. Targets have as many.
            numbers: inputs are features, not ids.
        """
        spec, length = self.spec, steps
        if spec.picture is not None:
            length = 1 if spec.given_as_files else steps
            inputs = torch.rand(rows, *[length] * (not spec.given_as_files), *spec.picture)
        elif numbers:
            inputs = torch.randn(rows, steps, spec.input_size)
        else:
            inputs = torch.randint(max(spec.input_size, 1), (rows, steps))
        spelling = None
        if spec.character_size:
            forms = torch.randint(spec.character_size, (rows * steps, EXAMPLE_LETTERS))
            spelling = Spelling(forms, torch.arange(rows * steps).view(rows, steps))
        targets = torch.randint(max(spec.output_size, 1), (rows, steps))
        lengths, target_lengths = torch.full((rows,), length), torch.full((rows,), steps)
        return Batch(inputs, lengths, targets, target_lengths, padded=False, spelling=spelling)

    @abstractmethod
    def metrics(self) -> list[Metric]:
        """Fresh counters; the first one picks the best checkpoint."""

    def check_start(self) -> None:
        """Called where a training begins, not where a finished run is read. Raises ConfigError for data that it cannot
        learn from with its options.
        """

    def prompt(self, text: str) -> str:
        """A text that a person gives to predict from, as the model is to read it."""
        return text

    @abstractmethod
    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """Predictions that a person can read, one a row; `features` spares encoding the batch again."""

    def tokens_read(self, batch: Batch) -> list[list[str]]:
        """The tokens of each row of ids: as they were written where the batch knows that, else as the vocabulary has
        them. `spec.inputs.join` makes text of them.
        """
        if batch.tokens is not None:
            return batch.tokens
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return [[(self.spec.input_codec.tokens([token]) or [""])[0] for token in ids[:length]] for ids, length in rows]

    def labels_read(self, batch: Batch) -> list[list[str]]:
        """`tokens_read`, each as a text of its own: of a piece of a word without its mark."""
        return [[self.spec.input_codec.join([token]) for token in row] for row in self.tokens_read(batch)]

    def classes(self) -> list[str]:
        """What every answer is one of, or each of its steps; empty where answers are no classes."""
        return []

    @abstractmethod
    def references(self, batch: Batch) -> list:
        """The right answers, in the form of `Prediction.answer`."""

    def samples(self, batch: Batch, count: int) -> Batch:
        """The rows of a validation batch whose predictions are shown to a person."""
        return batch.first(count)

    @abstractmethod
    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line a row for a person: what was read, what was answered, what was right."""


class ReadFiles(NamedTuple):
    """What was read under one name of a configuration.

    path: absolute: a file, a `::member` of an archive, a folder, or a pattern; files: all that were read of it.
    """

    path: str
    files: list[str]


class DataModule:
    """Batches of one data set: `DataModule(**options)` reads nothing, `load` does.

    Example:
        >>> model, data = seqzoo.build("task=tagging")
        >>> data.splits()
        >>> for batch in data.batches("train", epoch=0):

    stateful: batch k + 1 continues batch k row by row (truncated back-propagation through time).
    numbers: inputs are (B, T, I) features, not ids.
    structure: the fields of `Steps` besides lengths that its batches have, which a backbone must support.
    remarks: what a person should know of the data that was read; a run shows them at its start.
    """

    stateful: bool = False
    numbers: bool = False
    structure: Sequence[str] = ()
    remarks: Sequence[str] = ()
    spec: DataSpec

    @cached_property
    def files(self) -> dict[str, ReadFiles]:
        """What `load` has read, by its names in the configuration."""
        return {}

    @cached_property
    def places(self) -> dict[str, str]:
        """The paths that a run read when it started, by the same names; `load` looks there first."""
        return {}

    @abstractmethod
    def expected_spec(self) -> DataSpec:
        """The sizes as far as they are known before reading anything: upper limits."""

    @abstractmethod
    def load(self, spec: DataSpec | None = None) -> None:
        """Read or generate; afterwards `spec` is set. A given spec, of a finished run, is kept as it is."""

    @abstractmethod
    def splits(self) -> dict[str, int]:
        """Examples of "train", "validation" and, where there is one, "test"."""

    @abstractmethod
    def num_batches(self, split: str, epoch: int = 0) -> int: ...

    @abstractmethod
    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The same seed, split and epoch give the same batches in the same order; `start` leaves out the first ones at
        no cost.
        """

    def padding_share(self) -> float | None:
        """The share of the training inputs' steps that is padding, in the first epoch; None where all rows are equally
        long.
        """
        return None
