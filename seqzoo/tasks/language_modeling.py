"""What comes next: a distribution over the next token at every step, and text drawn from it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts import PAD, UNKNOWN, Batch, DataSpec, Features, Loss, Metric, Prediction, State, Task
from seqzoo.decoding import Constraints, Start, generate, sampler
from seqzoo.masking import cross_entropy
from seqzoo.metrics import create_metrics

PROMPT_LENGTH = 20  # tokens of a validation text that are continued for a person to read


class LanguageModeling(Task):
    """Scores: (B, T, V).

    dropout: on the features before the head.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    temperature, top_k, top_p: of what a continuation is drawn from, see `seqzoo.decoding.sampling`.
    no_repeat: no run of so many drawn tokens twice; 0: it may be.
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
        top_k: int | None = None,
        top_p: float = 1.0,
        no_repeat: int = 0,
        sample_length: int = 100,
    ):
        super().__init__()
        sampler(temperature, top_k, top_p)  # says what is wrong with them
        if sample_length < 1:
            raise ValueError(f"sample_length is {sample_length}: draw at least one token")
        self.spec, self.metric_names = spec, metrics
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.no_repeat, self.sample_length = no_repeat, sample_length
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

        def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
            output, state = model.step(token, state)
            return self._log_probabilities(output), state

        found = generate(
            Start(self._log_probabilities(features.last), features.state),
            step,
            torch.full_like(batch.lengths, self.sample_length),
            choose=sampler(self.temperature, self.top_k, self.top_p),
            constraints=Constraints(no_repeat=self.no_repeat),
        )
        return [Prediction(self.spec.targets.decode(ids), score) for ids, score, _ in found]

    def _log_probabilities(self, output: Tensor) -> Tensor:
        """(B, O) -> (B, V), of tokens that can be shown."""
        scores = self.head(output).float()
        scores[:, [PAD, UNKNOWN]] = float("-inf")
        return scores.log_softmax(-1)

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
