"""Cloze: a missing token is predicted from the context on both sides, read by a forward and a backward network.

Source: Mousa & Schuller, Contextual Bidirectional Long Short-Term Memory Recurrent Neural Network Language Models,
2017, https://aclanthology.org/E17-1096
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import BLANK, PAD, UNKNOWN, Batch, Features, Loss, Prediction
from seqzoo.contracts.masking import cross_entropy
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.locked_dropout import create_dropout

NEVER_WRITTEN = [PAD, UNKNOWN, BLANK]


class Cloze(Task):
    """Predicts each token of a text from the tokens before and after it.

    Every token is a target of training, and none has to be masked, because no feature of step t depends on token t. The
    answer to a text with blanks is the completed text; the answer to any other text is the expected token at each step.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        dropout: dropout on the features before the head.
        beam_size: size of the beam that fills the blanks of a text, from left to right.

    Raises:
        ValueError: beam_size is below 1.

    Shape:
        Scores: (B, T, V).
    """

    reads = "cloze"
    example_answers = (["a"],)
    skips_empty_text = False
    loss_unit = "nats"
    legend = "word, or answer(target) where the answer differs from it"
    needs_every_step = True
    needs_two_sides = True

    def __init__(
        self, feature_size: int, spec: DataSpec, metrics: list[MetricName], dropout: float = 0.0, beam_size: int = 1
    ):
        super().__init__()
        if beam_size < 1:
            raise ValueError(f"beam_size is {beam_size}: search at least one filling")
        self.spec, self.metric_names, self.beam_size = spec, metrics, beam_size
        self.dropout = create_dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        before, after = features.outputs.chunk(2, dim=-1)
        # zero where nothing is before or after; outputs are zero beyond the end of a row
        sides = [F.pad(before[:, :-1], (0, 0, 1, 0)), F.pad(after[:, 1:], (0, 0, 0, 1))]
        return self.head(self.dropout(torch.cat(sides, dim=-1)))

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return cross_entropy(scores, batch.required_targets, batch.lengths if batch.padded else None)

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        return [best for best, *_ in self._predictions(model, batch, 1, features)]

    def candidates(self, model: Network, batch: Batch, n_best: int) -> list[list[Prediction]]:
        return self._predictions(model, batch, n_best)

    @torch.no_grad()
    def _predictions(
        self, model: Network, batch: Batch, n_best: int, features: Features | None = None
    ) -> list[list[Prediction]]:
        best, tokens = self._log_probabilities(self(features or model.encode(batch), batch)).max(-1)
        predictions = []
        for row, length in enumerate(batch.lengths.tolist()):
            ids = batch.inputs[row, :length]
            if batch.targets is None and (ids == BLANK).any():
                written = None if batch.tokens is None else batch.tokens[row]
                predictions.append(self._filled(model, ids, written, max(self.beam_size, n_best))[:n_best])
            else:
                predictions.append([Prediction(self._words(tokens[row, :length]), float(best[row, :length].sum()))])
        return predictions

    def _filled(self, model: Network, ids: Tensor, written: list[str] | None, size: int) -> list[Prediction]:
        """Fill the blanks of a text with a beam of this size, best first. ids: (T,); written: its tokens as text."""
        texts, scores = ids[None], ids.new_zeros(1, dtype=torch.float)
        for place in (ids == BLANK).nonzero()[:, 0].tolist():
            lengths = torch.full((len(texts),), len(ids), device=ids.device)
            batch = Batch(texts, lengths, padded=False)
            totals = scores[:, None] + self._log_probabilities(self(model.encode(batch), batch)[:, place])
            possible = int((~totals.isneginf()).sum())
            scores, index = totals.flatten().topk(min(size, possible))
            texts = texts[index // totals.shape[1]]
            texts[:, place] = index % totals.shape[1]
        rows = zip(texts.tolist(), scores.tolist(), strict=True)
        return [Prediction(self._text(row, written), score) for row, score in rows]

    def _text(self, ids: list[int], written: list[str] | None) -> str:
        """Ids as text; tokens outside the vocabulary stay as they were written, if that is given."""
        codec = self.spec.input_codec
        if written is None:
            return codec.decode(ids)
        pairs = zip(ids, written, strict=True)
        return codec.join([word if i == UNKNOWN else token for i, word in pairs for token in codec.tokens([i])])

    def _log_probabilities(self, scores: Tensor) -> Tensor:
        """Log-probabilities of all tokens, -inf for special ones."""
        log_probabilities = scores.float().log_softmax(-1)
        log_probabilities[..., NEVER_WRITTEN] = float("-inf")
        return log_probabilities

    def _words(self, ids: Tensor) -> list[str]:
        return [self.spec.target_codec.decode([token]) for token in ids.tolist()]

    def references(self, batch: Batch) -> list:
        return [
            self._words(row[:length])
            for row, length in zip(batch.required_targets, batch.lengths.tolist(), strict=True)
        ]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """Tokens as word, or ANSWER(word) where another one was predicted; completed texts as they are."""
        lines = []
        for words, prediction in zip(self.labels_read(batch), predictions, strict=True):
            if isinstance(prediction.answer, str):
                lines.append(prediction.answer)
                continue
            pairs = zip(words, prediction.answer, strict=True)
            lines.append(" ".join(word if word == expected else f"{expected}({word})" for word, expected in pairs))
        return lines
