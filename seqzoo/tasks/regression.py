"""Regression: a vector of numbers for each sequence, or for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.masking import mask
from seqzoo.contracts.parts import Metric, Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.locked_dropout import create_dropout


class Regression(Task):
    """Predicts D numbers for each sequence, or for each step if `spec.per_step`, with the squared error as the loss.

    An answer is the text of D numbers, separated by spaces. Its score is 0, because the model assigns no probability.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        dropout: dropout on the features before the head.

    Shape:
        Scores: (B, D), or (B, T, D) per step: the predicted numbers.
    """

    reads = "regression"
    example_answers = (["0.5"],)
    loss_unit = "squared error"
    legend = "last inputs -> last answer   (right: the right number)"

    def __init__(self, feature_size: int, spec: DataSpec, metrics: list[MetricName], dropout: float = 0.0):
        super().__init__()
        self.spec, self.metric_names = spec, metrics
        self.dropout = create_dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self.dropout(features.outputs if self.spec.per_step else features.last))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
        errors = (scores.float() - batch.required_targets).square()
        if not (self.spec.per_step and batch.padded):
            return Loss(errors.sum(), torch.tensor(errors.numel(), device=errors.device))
        real = mask(batch.lengths, errors.shape[1])
        return Loss(errors.masked_fill(~real[..., None], 0.0).sum(), batch.lengths.sum() * errors.shape[2])

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        targets = torch.randn(rows, *[steps] * self.spec.per_step, self.spec.output_size)
        return replace(super().example_batch(rows, steps, numbers), targets=targets)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        scores = model.scores(batch, features)
        return [Prediction(answer, 0.0) for answer in self._texts(scores, batch.lengths)]

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        return torch.stack([part.float() for part in scores]).mean(0)

    def references(self, batch: Batch) -> list:
        return self._texts(batch.required_targets, batch.lengths)

    def _texts(self, numbers: Tensor, lengths: Tensor) -> list:
        rows = numbers.float().tolist()
        if not self.spec.per_step:
            return [_text(row) for row in rows]
        return [[_text(step) for step in row[:length]] for row, length in zip(rows, lengths.tolist(), strict=True)]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the last inputs -> the last prediction   (right: the correct number)."""
        references = self.references(batch) if batch.targets is not None else [None] * batch.size
        lines = []
        for row, length, prediction, reference in zip(
            batch.inputs, batch.lengths.tolist(), predictions, references, strict=True
        ):
            first = max(0, length - SHOWN_STEPS)
            steps = ", ".join(_text(step, digits=3) for step in row[first:length].tolist())
            answer = _short(prediction.answer)
            correct = "" if reference is None else f"   (right: {_short(reference)})"
            lines.append(f"{'... ' if first else ''}{steps} -> {answer}{correct}")
        return lines


SHOWN_STEPS = 8


def _text(numbers: list[float], digits: int = 7) -> str:
    """Numbers as text; by default with the precision of float32, so that metrics on texts equal those on numbers."""
    return " ".join(f"{number:.{digits}g}" for number in numbers)


def _short(answer: str | list[str]) -> str:
    """The answer at the last step, with fewer digits."""
    last = answer if isinstance(answer, str) else answer[-1]
    return _text([float(number) for number in last.split()], digits=4)
