"""What comes next: a distribution over the next token at every step, and text drawn from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts import PAD, UNKNOWN, Batch, DataSpec, Features, Loss, Metric, Prediction, Task
from seqzoo.masking import cross_entropy
from seqzoo.metrics import create_metrics

PROMPT_LENGTH = 20  # tokens of a validation text that are continued for a person to read


class LanguageModeling(Task):
    """Scores: (B, T, V).

    dropout: on the features before the head.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    temperature: of the softmax that a continuation is drawn from; 0 takes the most probable token.
    sample_length: tokens to draw after a prompt.
    """

    kind = "language_modeling"
    needs_causal = True
    needs_every_step = True

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[str],
        dropout: float = 0.0,
        temperature: float = 0.8,
        sample_length: int = 100,
    ):
        super().__init__()
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}: it is 0 (the most probable token) or more")
        if sample_length < 1:
            raise ValueError(f"sample_length is {sample_length}: draw at least one token")
        self.spec, self.metric_names = spec, metrics
        self.temperature, self.sample_length = temperature, sample_length
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return self.head(self.dropout(features.outputs))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return cross_entropy(scores, batch.targets, batch.lengths if batch.padded else None)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @torch.no_grad()
    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """Continue each row by `sample_length` tokens; the score is the log-probability of what was drawn."""
        features = features or model.encode(batch)
        output, state, total = features.last, features.state, features.last.new_zeros(batch.size)
        drawn = []
        for _ in range(self.sample_length):
            scores = self.head(output).float()
            scores[:, [PAD, UNKNOWN]] = float("-inf")
            token = self._draw(scores)
            total = total + scores.log_softmax(-1).gather(1, token[:, None])[:, 0]
            drawn.append(token)
            output, state = model.step(token, state)
        rows = torch.stack(drawn, 1).tolist()
        return [
            Prediction(self.spec.targets.decode(row), score) for row, score in zip(rows, total.tolist(), strict=True)
        ]

    def _draw(self, scores: Tensor) -> Tensor:
        """(B, V) -> (B,)"""
        if self.temperature == 0:
            return scores.argmax(-1)
        return torch.multinomial((scores / self.temperature).softmax(-1), 1)[:, 0]

    def references(self, batch: Batch) -> list:
        raise NotImplementedError("a continuation has no single right answer: language models are scored by their loss")

    def samples(self, batch: Batch, count: int) -> Batch:
        """Beginnings to continue."""
        lengths = batch.lengths[:count].clamp(max=PROMPT_LENGTH)
        return Batch(batch.inputs[:count, :PROMPT_LENGTH], lengths, padded=batch.padded)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """prompt | continuation"""
        prompts = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        texts = [self.spec.inputs.decode(row[:length]) for row, length in prompts]
        return [f"{text} | {p.answer}" for text, p in zip(texts, predictions, strict=True)]
