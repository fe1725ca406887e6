"""Encoder-decoder: a sequence becomes another one, of another length.

Sutskever, Vinyals & Le, Sequence to Sequence Learning with Neural Networks, 2014 (the context as first state),
https://arxiv.org/abs/1409.3215
Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014 (the context at every step),
https://arxiv.org/abs/1406.1078
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts import (
    BEGIN,
    END,
    PAD,
    UNKNOWN,
    BackboneFactory,
    Batch,
    DataSpec,
    Features,
    Loss,
    Metric,
    Prediction,
    State,
    Task,
)
from seqzoo.masking import cross_entropy
from seqzoo.metrics import create_metrics
from seqzoo.state import flatten, map_state, unflatten


def _features_of(state: State) -> list[Tensor]:
    """The tensors of a state that hold features; counters stay where they are."""
    return [tensor for tensor in flatten(state) if tensor.dim() > 1]


# an unknown token is no answer, even where the reference has one
NEVER_WRITTEN = [PAD, UNKNOWN, BEGIN]


class Transduction(Task):
    """Scores: (B, U, V), each step given the right tokens before it (teacher forcing).

    decoder: a backbone that goes step by step.
    encoder_state: a state of the encoder, read for its shapes.
    context: first_state gives the encoder's last state to the decoder as its first one, through a layer of its own
        where their shapes differ; every_step gives the encoder's last output to the decoder beside each token.
    embedding_size: width of a target token's vector; embedding_std: spread of these vectors at the start.
    dropout: on the decoder's outputs before the head.
    max_length: tokens after which decoding stops without an end; it also stops at twice the source's length and 10
        more.
    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    """

    kind = "transduction"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        decoder: BackboneFactory,
        encoder_state: State,
        metrics: list[str],
        context: Literal["first_state", "every_step"] = "first_state",
        embedding_size: int = 128,
        embedding_std: float = 0.1,
        dropout: float = 0.0,
        max_length: int = 100,
    ):
        super().__init__()
        self.spec, self.metric_names = spec, metrics
        self.context, self.max_length = context, max_length
        self.embedding = nn.Embedding(spec.output_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=embedding_std)
        self.decoder = decoder(embedding_size + (feature_size if context == "every_step" else 0))
        if not self.decoder.causal:
            raise ValueError(
                "the decoder cannot go step by step: it writes from left to right, so give it one direction"
            )
        self.bridge = None
        ours, theirs = self.decoder.initial_state(1), encoder_state
        if context == "first_state" and [t.shape[1:] for t in flatten(ours)] != [t.shape[1:] for t in flatten(theirs)]:
            inputs, outputs = (sum(t[0].numel() for t in _features_of(state)) for state in (theirs, ours))
            self.bridge = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.decoder.output_size, spec.output_size)

    def start(self, features: Features) -> State:
        """The decoder's first state."""
        first = self.decoder.initial_state(features.last.shape[0])
        if self.context == "every_step":
            return first
        if self.bridge is None:
            return unflatten(flatten(features.state), first)
        seen = torch.cat([tensor.flatten(1) for tensor in _features_of(features.state)], dim=-1)
        sizes = [tensor.shape[1:].numel() for tensor in _features_of(first)]
        pieces = iter(torch.tanh(self.bridge(seen)).split(sizes, dim=-1))
        return map_state(lambda zero: next(pieces).reshape(zero.shape) if zero.dim() > 1 else zero, first)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        first = batch.targets.new_full((batch.size, 1), BEGIN)
        x = self.embedding(torch.cat([first, batch.targets[:, :-1]], dim=1))
        if self.context == "every_step":
            x = torch.cat([x, features.last[:, None].expand(-1, x.shape[1], -1)], dim=-1)
        # no lengths: what a row's decoder does after its end is masked in the loss
        outputs, _ = self.decoder(x, None, self.start(features))
        return self.head(self.dropout(outputs))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return cross_entropy(scores, batch.targets, batch.target_lengths)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def step(self, token: Tensor, state: State, features: Features) -> tuple[Tensor, State]:
        """(B,) tokens -> (B, V) scores of the next ones, and the next state."""
        x = self.embedding(token)
        if self.context == "every_step":
            x = torch.cat([x, features.last], dim=-1)
        output, state = self.decoder.step(x, state)
        return self.head(self.dropout(output)), state

    @torch.no_grad()
    def decode(self, model: Any, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """Greedy: the most probable token, until all rows have ended."""
        features = features or model.encode(batch)
        state = self.start(features)
        token = batch.inputs.new_full((batch.size,), BEGIN)
        total, ended, written = features.last.new_zeros(batch.size), torch.zeros_like(token, dtype=torch.bool), []
        # by each row's own length, so that an answer does not depend on the rows beside it
        limits = (2 * batch.lengths + 10).clamp(max=self.max_length)
        for step in range(1, int(limits.max()) + 1):
            scores, state = self.step(token, state, features)
            log_probabilities = scores.float().log_softmax(-1)
            log_probabilities[:, NEVER_WRITTEN] = float("-inf")
            best, token = log_probabilities.max(-1)
            total = total + best.masked_fill(ended, 0.0)
            token = token.masked_fill(ended, END)
            ended = ended | (token == END) | (limits <= step)
            written.append(token)
            if ended.all():
                break
        rows = torch.stack(written, 1).tolist()
        return [Prediction(self._text(row), score) for row, score in zip(rows, total.tolist(), strict=True)]

    def _text(self, row: list[int]) -> str:
        return self.spec.targets.decode(row[: row.index(END)] if END in row else row)

    def references(self, batch: Batch) -> list:
        return [self._text(row) for row in batch.targets.tolist()]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """source -> answer, with the right one where it is another."""
        rights = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        sources = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        texts = [self.spec.inputs.decode(row[:length]) for row, length in sources]
        return [
            f"{text} -> {p.answer}{'' if p.answer == right else f'   (right: {right})'}"
            for text, p, right in zip(texts, predictions, rights, strict=True)
        ]
