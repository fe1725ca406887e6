"""Many to many, aligned: a tag for each token."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqzoo.contracts import Batch, DataSpec, Features, Loss, Metric, Prediction, Task
from seqzoo.masking import cross_entropy, mask
from seqzoo.metrics import create_metrics


class Tagging(Task):
    """Scores: (B, T, K).

    dropout: on the features before the head.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    """

    kind = "tagging"
    needs_every_step = True

    def __init__(self, feature_size: int, spec: DataSpec, metrics: list[str], dropout: float = 0.0):
        super().__init__()
        self.spec, self.metric_names = spec, metrics
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self.dropout(features.outputs))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return cross_entropy(scores, batch.targets, batch.lengths if batch.padded else None)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        scores = self(features or model.encode(batch), batch)
        best, tags = scores.float().log_softmax(-1).max(-1)
        sums = (best * mask(batch.lengths, best.shape[1])).sum(1)
        rows = zip(tags.tolist(), batch.lengths.tolist(), sums.tolist(), strict=True)
        return [Prediction(self._names(row[:length]), score) for row, length, score in rows]

    def references(self, batch: Batch) -> list:
        rows = zip(batch.targets.tolist(), batch.lengths.tolist(), strict=True)
        return [self._names(row[:length]) for row, length in rows]

    def _names(self, ids: list[int]) -> list[str]:
        return [self.spec.targets.decode([i]) for i in ids]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """word/TAG, and word/TAG(RIGHT) where the tag is wrong."""
        rights = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        lines = []
        for row, length, prediction, right in zip(
            batch.inputs.tolist(), batch.lengths.tolist(), predictions, rights, strict=True
        ):
            words = [self.spec.inputs.decode([i]) for i in row[:length]]
            tags = [a if a == b else f"{a}({b})" for a, b in zip(prediction.answer, right, strict=True)]
            lines.append(" ".join(f"{word}/{tag}" for word, tag in zip(words, tags, strict=True)))
        return lines
