"""Base classes of the parts of a model: encoder, backbone, task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction, Spelling, State
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.steps import Steps

EXAMPLE_LETTERS = 8
"""Length of the words in `Task.example_batch`, in characters."""


class Encoder(nn.Module):
    """Maps ids, features, pictures or sound to the vectors that a backbone reads: `Encoder(input_size, **options)`.

    A picture becomes one vector per region. A constructor with a parameter `spec` receives the DataSpec.

    Attributes:
        output_size: width of the vectors.
        reads_characters: True: `forward` also takes the Spelling of the inputs.
        reads_lengths: True: `forward` also takes the lengths of the inputs, (B,) or None.
        context: number of steps before and after a step that its vector depends on; None: on the whole row.
        stride: number of steps that one vector stands for.

    Shape:
        Ids (B, T), features (B, T, I) or pictures (B, C, Y, X) as input; vectors (B, T', output_size) as output, where
        T' is T for ids and a stride of 1.
    """

    output_size: int
    reads_characters: ClassVar[bool] = False
    reads_lengths: ClassVar[bool] = False
    context: tuple[int, int] | None = (0, 0)
    stride: int = 1

    def encode(self, batch: Batch) -> Tensor:
        """The vectors of a batch, `forward` of what the encoder reads of it.

        Args:
            batch: the inputs.

        Returns:
            Vectors (B, T', output_size).
        """
        read: list[Any] = [batch.inputs]
        if self.reads_characters:
            read.append(batch.spelling)
        if self.reads_lengths:
            read.append(batch.steps.lengths)
        return self(*read)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Count the real vectors of each row.

        Args:
            lengths: number of real inputs of each row, shape (B,).

        Returns:
            Their numbers, shape (B,).
        """
        return lengths if self.stride == 1 else (lengths + self.stride - 1).div(self.stride, rounding_mode="floor")

    def output_steps(self, batch: Batch) -> Steps:
        """Lengths and structure of the vectors of a batch.

        Args:
            batch: the inputs.

        Returns:
            The steps of the batch with the lengths of `output_lengths`.
        """
        steps = batch.steps
        return steps if steps.lengths is None else steps._replace(lengths=self.output_lengths(steps.lengths))

    def load_pretrained(self) -> None:
        """Load the pretrained weights that the options name. Called when training starts, not when a model is only
        measured or loaded from a checkpoint.

        Raises:
            DataError: the weights are not available.
        """


class Backbone(nn.Module):
    """A network of cells over (B, T, I): `Backbone(cell, input_size, **options)`, where `cell` is a CellFactory.

    Examples:
        >>> model, data = seqzoo.build("task=tagging", "backbone=bidirectional")
        >>> outputs, state = model.backbone(torch.randn(8, 50, model.encoder.output_size))

    Attributes:
        output_size: width of the outputs.
        causal: True: output t depends on inputs 0..t only; `step` then exists and agrees with `forward`.
        two_sided: True: the first half of output t depends on inputs 0..t only, the second half on inputs t.. only.
        keeps_time: False: there are fewer outputs than inputs; `output_lengths` gives their number.
        over_time: False: cells do not read the steps of a row one after the other, and analyses over time do not apply.

    Shape:
        Input (B, T, I), outputs (B, T, O), where O is `output_size`; one step: (B, I) and (B, O).
    """

    output_size: int
    causal: bool
    two_sided: bool = False
    keeps_time: bool = True
    over_time: bool = True

    @property
    def supports(self) -> Collection[str]:
        """The fields of `Steps` that `forward` reads besides lengths."""
        return ()

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step.

        Args:
            batch_size: B.

        Returns:
            The state: tensors of shape (B, ...), as nested as those that `forward` returns.
        """

    @abstractmethod
    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Run the network over whole sequences.

        `steps` comes before `state`, because most calls start from the initial state. `Cell.scan` has them in the other
        order, which is that of `nn.LSTM`.

        Args:
            x: input, shape (B, T, I).
            steps: lengths, shape (B,), or Steps; None: all steps are real. `supported(steps, self)` converts each of
                them to Steps and rejects fields that the network does not read.
            state: from `initial_state` or an earlier call; None: the initial state.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step. In a bidirectional
            network the state of the backward half is that after the first step.

        Raises:
            ValueError: wrong shapes, types, devices or lengths, or a field of `steps` that is not supported.
        """

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Count the real outputs of each row.

        Args:
            lengths: number of real inputs of each row, shape (B,).

        Returns:
            Their numbers, shape (B,).
        """
        return lengths

    def lengths_after(self, steps: Steps) -> Tensor | None:
        """Count the real outputs of each row.

        Args:
            steps: of the inputs.

        Returns:
            Their numbers, shape (B,); None: all outputs are real.
        """
        return None if steps.lengths is None else self.output_lengths(steps.lengths)

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one time step of a causal backbone.

        Args:
            x: input, shape (B, I).
            state: from `initial_state` or an earlier call.

        Returns:
            The output (B, O) and the next state.
        """

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The output after the whole row.

        Args:
            outputs: shape (B, T, O).
            lengths: number of real outputs of each row, shape (B,); None: all are real.

        Returns:
            Outputs, shape (B, O); by default those at the last real step.
        """
        if lengths is None:
            return outputs[:, -1]
        index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, outputs.shape[-1])
        return outputs.gather(1, index)[:, 0]


BackboneFactory = Callable[[int], Backbone]
"""input_size -> Backbone"""


class Task(nn.Module):
    """Head, loss, metrics and decoding of one kind of task: `Task(feature_size, spec, **options)`.

    Examples:
        >>> model, data = seqzoo.build("task=tagging")
        >>> batch = next(data.batches("train"))
        >>> scores, state = model(batch)  # model.task turns the backbone's features into scores
        >>> total, count = model.task.loss(scores, batch)
        >>> model.task.decode(model, batch)[0].answer

    Attributes:
        reads: the `DataSpec.kind` of its batches; several tasks may read the same kind.
        example_answers: values of `Prediction.answer` on which metrics are tried before data is read; empty: no answer
            is right or wrong; None: unknown.
        skips_empty_text: True: the answer to an empty text is empty, without running the model.
        loss_unit: unit of `loss` outside training: "nats" for a negative log-likelihood, "squared error", or "" for any
            other objective.
        needs_causal: True: a backbone that looks ahead would see the answer.
        needs_two_sides: True: the backbone must keep the context before a step and that after it apart.
        needs_every_step: True: each input step has an answer of its own.
        legend: how to read a line of `show`. Targets are in brackets.
        spec: the specification of the data.

    Shape:
        Features (B, T, O) as input, where O is `feature_size`. Scores are of the form that `loss` takes, such as (B, K)
        for K classes, or (B, T, K) for a class of each step.
    """

    reads: ClassVar[str]
    example_answers: ClassVar[Sequence[str | list[str]] | None] = None
    skips_empty_text: ClassVar[bool] = True
    loss_unit: str = ""
    needs_causal: ClassVar[bool] = False
    needs_two_sides: ClassVar[bool] = False
    needs_every_step: ClassVar[bool] = False
    legend: ClassVar[str] = "input -> prediction   (target: shown where the prediction differs from it)"
    spec: DataSpec

    @property
    def reads_characters(self) -> bool:
        """Whether `forward` reads `Batch.spelling`."""
        return False

    @abstractmethod
    def forward(self, features: Features, batch: Batch) -> Tensor:
        """Apply the head.

        Args:
            features: outputs of the backbone for the batch.
            batch: inputs and, in training, targets.

        Returns:
            The scores that `loss` takes: logits or, if those of a large vocabulary are never materialised, the features
            that they are computed from.
        """

    @abstractmethod
    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        """The loss of a batch.

        Args:
            scores: from `forward`.
            batch: with targets.

        Returns:
            The sum of the losses of all real targets, and the number of targets.
        """

    def further_losses(self, scores: Tensor, batch: Batch) -> dict[str, Loss]:
        """Losses whose means are reported beside that of `loss` outside training.

        Args:
            scores: from `forward`.
            batch: with targets.

        Returns:
            The losses by the names of their means; by default there are none.
        """
        return {}

    @property
    def loss_name(self) -> str:
        """Name of the mean loss among the scores."""
        return "loss_nats" if self.loss_unit == "nats" else "loss"

    @property
    def training_loss_name(self) -> str:
        """Name of the mean training loss: `loss` where it is not a plain likelihood, for example with penalties."""
        return self.loss_name

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        """A random batch of the form that the task reads in training, used to count costs.

        Args:
            rows: number of rows, all without padding.
            steps: length of inputs and targets.
            numbers: True: inputs are features, not ids.

        Returns:
            The batch, on the default device.
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
        """The metrics of an evaluation.

        Returns:
            New, empty metrics; the first one selects the best checkpoint.
        """

    def check_start(self, model: Network, data: DataModule) -> None:
        """Check the data before training; not called when a finished run is loaded.

        Args:
            model: the model of this task, on the meta device.
            data: the loaded data.

        Raises:
            ConfigError: the task cannot learn from this data with its options.
        """

    def prompt(self, text: str) -> str:
        """Convert a text that a user typed to the form that the model reads.

        Args:
            text: the text.

        Returns:
            The text to encode; by default the same text.
        """
        return text

    @abstractmethod
    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """The prediction for each row.

        Args:
            model: the model of this task.
            batch: targets are not needed.
            features: of the batch; None: they are computed.

        Returns:
            One prediction per row, in the order of the batch.
        """

    def tokens_read(self, batch: Batch) -> list[list[str]]:
        """The input tokens of each row.

        Args:
            batch: a batch of token ids.

        Returns:
            A list of tokens for each row: `batch.tokens` if given, else from the vocabulary. `spec.inputs.join` joins
            them to a text.
        """
        if batch.tokens is not None:
            return batch.tokens
        rows = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        return [[(self.spec.input_codec.tokens([token]) or [""])[0] for token in ids[:length]] for ids, length in rows]

    def labels_read(self, batch: Batch) -> list[list[str]]:
        """The input tokens of each row as labels.

        Args:
            batch: a batch of token ids.

        Returns:
            `tokens_read` without subword markers.
        """
        return [[self.spec.input_codec.join([token]) for token in row] for row in self.tokens_read(batch)]

    def classes(self) -> list[str]:
        """The classes of answers, or of their steps.

        Returns:
            Their names by id; empty if answers are not classes.
        """
        return []

    @abstractmethod
    def references(self, batch: Batch) -> list:
        """The correct answers to a batch.

        Args:
            batch: with targets.

        Returns:
            One reference per row, in the form of `Prediction.answer`.
        """

    def samples(self, batch: Batch, count: int) -> Batch:
        """Choose the rows whose predictions are shown in the log.

        Args:
            batch: a validation batch.
            count: maximum number of rows.

        Returns:
            A batch of at most `count` rows; by default the first ones.
        """
        return batch.first(count)

    @abstractmethod
    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """Describe rows and their predictions in the log.

        Args:
            batch: with or without targets.
            predictions: one per row.

        Returns:
            One line per row: input, prediction and, with targets, reference.
        """


class Network(Protocol):
    """A model as the methods of a task receive it: `seqzoo.network.model.Model`.

    Attributes:
        encoder, backbone, task: its parts.
    """

    @property
    def encoder(self) -> Encoder: ...

    @property
    def backbone(self) -> Backbone: ...

    @property
    def task(self) -> Task: ...

    def __call__(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State]:
        """The scores of the task for a batch, and the next state."""
        ...

    def encode(self, batch: Batch, state: State | None = None) -> Features:
        """Run encoder and backbone."""
        ...

    def scores(self, batch: Batch, features: Features | None = None) -> Tensor:
        """The scores of the task for a batch."""
        ...

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one time step of encoder and backbone."""
        ...
