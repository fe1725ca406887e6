"""A task whose answer is shorter than its input (Graves et al., Connectionist Temporal Classification, 2006)."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo import Batch, DataSpec, Features, Loss, Metric, Prediction, Task
from seqzoo.contracts.batch import END, PAD
from seqzoo.contracts.masking import mask
from seqzoo.metrics import MetricName, create_metrics


class CTC(Task):
    """Scores: (B, T, V), of the token or the blank (the padding's id) that a step writes."""

    reads = "transduction"
    loss_unit = "nats"
    example_answers = ("a",)
    needs_every_step = True

    def __init__(self, feature_size: int, spec: DataSpec, metrics: list[MetricName]):
        super().__init__()
        self.spec, self.metric_names = spec, metrics
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(features.outputs)

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        written = batch.target_lengths - 1  # without the end
        steps = scores.float().log_softmax(-1).transpose(0, 1)
        return Loss(F.ctc_loss(steps, batch.targets, batch.lengths, written, PAD, "sum"), written.sum())

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @torch.no_grad()
    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """The most probable path, without repetitions and blanks."""
        best, ids = self(features or model.encode(batch), batch).float().log_softmax(-1).max(-1)
        sums = (best * mask(batch.lengths, best.shape[1])).sum(1)
        rows = zip(ids.tolist(), batch.lengths.tolist(), sums.tolist(), strict=True)
        return [Prediction(self._text(row[:length]), score) for row, length, score in rows]

    def _text(self, path: list[int]) -> str:
        return self.spec.targets.decode([token for token, _ in itertools.groupby(path) if token not in (PAD, END)])

    def references(self, batch: Batch) -> list[str]:
        return batch.references

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        texts = [self.spec.inputs.join(tokens) for tokens in self.tokens_read(batch)]
        return [f"{text} -> {prediction.answer}" for text, prediction in zip(texts, predictions, strict=True)]
