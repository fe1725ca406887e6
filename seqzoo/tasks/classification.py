"""Many to one: a class for each sequence."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts import Batch, DataSpec, Features, Loss, Metric, Prediction, Task
from seqzoo.masking import cross_entropy, mask
from seqzoo.metrics import create_metrics


class Classification(Task):
    """Scores: (B, K).

    pooling: last (the output once all has been read), mean or max over the real steps, or attention: a learned weight a
        step (Yang et al., Hierarchical Attention Networks, 2016, https://aclanthology.org/N16-1174).
    dropout: on the pooled features before the head.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    """

    kind = "classification"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[str],
        pooling: Literal["last", "mean", "max", "attention"] = "last",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.spec, self.metric_names, self.pooling = spec, metrics, pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)
        if pooling == "attention":
            self.attention = nn.Sequential(
                nn.Linear(feature_size, feature_size), nn.Tanh(), nn.Linear(feature_size, 1, bias=False)
            )

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.pool(features)))

    def pool(self, features: Features) -> Tensor:
        """(B, T, O) -> (B, O)"""
        if self.pooling == "last":
            return features.last
        outputs = features.outputs
        steps = outputs.shape[1]
        if features.lengths is None:
            real = outputs.new_ones(outputs.shape[:2], dtype=torch.bool)
        else:
            real = mask(features.lengths, steps)
        if self.pooling == "max":
            return outputs.masked_fill(~real[..., None], float("-inf")).amax(1)
        if self.pooling == "mean":
            return outputs.sum(1) / real.sum(1, keepdim=True)  # padded outputs are zero
        weights = self.attention(outputs)[..., 0].masked_fill(~real, float("-inf")).softmax(-1)
        return (weights[:, None] @ outputs)[:, 0]

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return cross_entropy(scores[:, None], batch.targets[:, None], None)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        scores = self(features or model.encode(batch), batch)
        best, classes = scores.float().log_softmax(-1).max(-1)
        rows = zip(classes.tolist(), best.tolist(), strict=True)
        return [Prediction(self.spec.targets.decode([label]), score) for label, score in rows]

    def references(self, batch: Batch) -> list:
        return [self.spec.targets.decode([label]) for label in batch.targets.tolist()]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """text, or how many steps of numbers -> class, with the right class where it is another."""
        rights = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        lines = []
        for row, length, prediction, right in zip(
            batch.inputs.tolist(), batch.lengths.tolist(), predictions, rights, strict=True
        ):
            wrong = "" if prediction.answer == right else f"   (right: {right})"
            read = f"{length} steps" if self.spec.inputs is None else self.spec.inputs.decode(row[:length])
            lines.append(f"{read} -> {prediction.answer}{wrong}")
        return lines
