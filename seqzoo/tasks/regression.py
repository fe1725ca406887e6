"""Regression: a vector of numbers for each sequence, or for each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import Streamed
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import Channels, DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.tasks.example_lines import example_line


@dataclass
class Memory:
    """What is remembered of a series that grows.

    Args:
        steps: number of steps so far.
        last: (W, I), the last inputs; None: not kept, or there are none yet.
    """

    steps: int = 0
    last: Tensor | None = None


class Regression(Task):
    """Predicts D numbers for each sequence, or for each step if `spec.per_step`, with the squared error as the loss.

    An answer is the text of D numbers, separated by spaces. It has no score, because the model assigns no probability.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        dropout: dropout on the features before the head.
        washout: number of steps at the beginning of each row that are neither learned nor predicted, because the state
            still depends on the initial one.

    Raises:
        ValueError: a washout without a number for each step.

    Shape:
        Scores: (B, D), or (B, T, D) per step: the predicted numbers. Targets that are NaN are missing.
    """

    reads = "regression"
    example_answers = (["0.5"],)
    loss_unit = "squared error"
    legend = "last inputs -> last answer   (target: the true value)"

    def __init__(
        self, feature_size: int, spec: DataSpec, metrics: list[MetricName], dropout: float = 0.0, washout: int = 0
    ):
        super().__init__()
        if washout < 0 or (washout and spec.kind and not spec.per_step):
            raise ValueError(f"washout is {washout}: it must be at least 0, and 0 for one answer to each sequence")
        self.spec, self.metric_names, self.washout = spec, metrics, washout
        self.dropout = create_dropout(dropout)
        self.head: nn.Module = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self._read(features))

    def _read(self, features: Features) -> Tensor:
        """The input of the head."""
        return self.dropout(features.outputs if self.spec.per_step else features.last)

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return Loss(self._squared_error(scores, batch), self._known(batch).sum())

    def _squared_error(self, predictions: Tensor, batch: Batch) -> Tensor:
        """The sum over the targets that are learned. A missing one is replaced before it is subtracted, because the
        gradient of a masked NaN is NaN.
        """
        known = self._known(batch)
        # at least in float32: a sum over a batch overflows float16 and loses digits in bfloat16
        errors = at_least_single(predictions) - batch.required_targets.masked_fill(~known, 0.0)
        return errors.square().masked_fill(~known, 0.0).sum()

    def _known(self, batch: Batch) -> Tensor:
        """True where a target is learned, of the shape of the targets: it is not NaN, nor in the padding or washout."""
        targets = batch.required_targets
        known = ~targets.isnan()
        if not self.spec.per_step:
            return known
        if batch.padded:
            known = known & mask(batch.lengths, targets.shape[1])[..., None]
        if self.washout:
            known = known & (torch.arange(targets.shape[1], device=targets.device) >= self.washout)[:, None]
        return known

    def readout_rows(self, features: Features, batch: Batch) -> tuple[Tensor, Tensor]:
        known = self._known(batch).all(-1)  # a vector with a missing number is left out
        return self._read(features)[known], batch.required_targets[known]

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        targets = torch.randn(rows, *[steps] * self.spec.per_step, self.spec.output_size)
        return replace(super().example_batch(rows, steps, numbers), targets=targets)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        scores = model.scores(batch, features)
        return [Prediction(answer, None) for answer in self.answers(scores, batch)]

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        return self(features, batch)

    def begin_stream(self) -> Memory:
        if not self.spec.per_step:
            advice = "predict instead, or train on data with a number for each step"
            raise ConfigError([f"the run answers a whole sequence, so that a stream has no answers: {advice}"])
        return Memory()

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[Memory]) -> list[Streamed]:
        """The numbers of each new step after the washout."""
        scores = self(features, batch)
        streamed = []
        rows = zip(scores, written(self.in_units(scores, batch)), batch.lengths.tolist(), memories, strict=True)
        for numbers, answers, length, memory in rows:
            left = max(0, self.washout - memory.steps)
            memory.steps += length
            streamed.append(Streamed(answers[left:length], numbers[:length]))
        return streamed

    def end_stream(self, memory: Memory) -> Streamed:
        return Streamed([])

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        return torch.stack([at_least_single(part) for part in scores]).mean(0)

    def references(self, batch: Batch) -> list:
        return self.answers(batch.required_targets, batch)

    def answers(self, numbers: Tensor, batch: Batch) -> list:
        """Numbers of the shape of the targets as answers, in the units of the data."""
        rows = written(self.in_units(numbers, batch))
        if not self.spec.per_step:
            return rows
        return [row[self.washout : length] for row, length in zip(rows, batch.lengths.tolist(), strict=True)]

    def answers_by(self, predict: Callable[[Batch], Tensor], batch: Batch) -> list:
        return self.answers(predict(batch), batch)

    def in_units(self, numbers: Tensor, batch: Batch) -> Tensor:
        """Targets per step (..., B, T, D), which are scaled like inputs, in the units of the data."""
        channels = self.spec.channels
        if channels is None or not self.spec.per_step:
            return numbers
        return _unscaled(numbers if batch.levels is None else numbers + batch.levels[:, None], channels)

    def values_read(self, batch: Batch) -> Tensor:
        """The measurements (B, T, C) of the inputs, in the units of the data."""
        channels = self.spec.channels
        if channels is None:
            return batch.inputs
        values = batch.inputs[..., : len(channels.names)]
        if batch.levels is not None:
            values = values + F.pad(batch.levels, (0, values.shape[-1] - batch.levels.shape[-1]))[:, None]
        return _unscaled(values, channels)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the last inputs -> the last prediction   (target: the true value)."""
        targets = self.references(batch) if batch.targets is not None else [None] * batch.size
        rows = zip(self.values_read(batch), batch.lengths.tolist(), predictions, targets, strict=True)
        return [
            example_line(last_steps(row, length), _last(p.answer), None if target is None else _last(target))
            for row, length, p, target in rows
        ]


SHOWN_STEPS = 8
"""Number of steps of an input or a forecast in a line of the log."""


def last_steps(values: Tensor, length: int) -> str:
    """The last of `length` steps (T, C) in a line."""
    first = max(0, length - SHOWN_STEPS)
    return "... " * bool(first) + ", ".join(_text(step, digits=3) for step in values[first:length].tolist())


def _unscaled(numbers: Tensor, channels: Channels) -> Tensor:
    """The first channels (..., D) in the units of the data."""
    numbers, size = at_least_single(numbers), numbers.shape[-1]
    return numbers * numbers.new_tensor(channels.scales[:size]) + numbers.new_tensor(channels.means[:size])


def written(numbers: Tensor) -> list:
    """A text for each vector of a tensor (..., D), in lists of its other dimensions.

    They have the precision of float32, or of float64, so that metrics on texts equal those on numbers.
    """
    digits = 15 if numbers.dtype == torch.float64 else 7

    def texts(node: list) -> list | str:
        return [texts(part) for part in node] if node and isinstance(node[0], list) else _text(node, digits)

    return [texts(part) for part in at_least_single(numbers).tolist()]


def with_bands(quantiles: Tensor) -> list:
    """`written` for quantiles (B, T, D, Q): the median of each number, and the quantiles in brackets."""
    middle = quantiles.shape[-1] // 2

    def text(step: list[list[float]]) -> str:
        return " ".join(f"{_text([part[middle]], 7)} ({_text(part, 7)})" for part in step)

    return [[text(step) for step in row] for row in quantiles.tolist()]


def at_least_single(numbers: Tensor) -> Tensor:
    """Numbers in float32, or as they are in float64."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _text(numbers: list[float], digits: int) -> str:
    return " ".join(f"{number:.{digits}g}" for number in numbers)


def _last(answer: str | list[str]) -> str:
    """The answer at the last step, with fewer digits."""
    return rounded(answer if isinstance(answer, str) else answer[-1])


def rounded(answer: str) -> str:
    """The numbers of an answer with fewer digits."""
    return " ".join(f"{float(number):.4g}" for number in answer.split())
