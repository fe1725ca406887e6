"""Tagging: a tag for each token."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.masking import mask
from seqzoo.contracts.parts import Metric, Network, Task
from seqzoo.contracts.span_notation import OUTSIDE, may_follow, parse
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import Confusion, MetricName, confusion_of, create_metrics
from seqzoo.network.heads.class_loss import ClassLoss, OutputsName
from seqzoo.network.heads.crf import LinearChain, best_tags, log_partition
from seqzoo.network.heads.word_scores import WordScores
from seqzoo.network.locked_dropout import create_dropout


class Tagging(Task):
    """Predicts a tag for each token.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        decoder: "softmax" predicts each tag independently; "crf", a linear-chain conditional random field, the whole
            sequence of tags.
        constrained: for tags that mark spans: predict only sequences that are valid in their scheme. Training admits
            all sequences, so that an invalid one in the data does not have zero probability.
        outside_penalty: for tags that mark spans: penalty in nats on each token outside all spans when predicting; it
            trades precision for recall (Minkov et al., NER Systems that Suit User's Preferences: Adjusting the
            Recall-Precision Trade-off for Entity Extraction, 2006, https://aclanthology.org/N06-2024).
        dropout: dropout on the features before the head.
        neighbours: number of words on each side of a linear classifier (`seqzoo.network.heads.word_scores`), whose
            scores are added to those of the network. 0: no such classifier.
        loss: of training, see `ClassLoss`. Outside training it is the negative log-likelihood where the outputs stand
            for probabilities. The loss of decoder="crf" is that of the whole sequence of tags, "cross_entropy".
        outputs: how scores become outputs: "softmax", "sigmoid" or "linear"; None: as is usual for the loss.
        label_smoothing: share of the target probability that is spread over all tags in training.
        focusing: gamma of loss="focal".

    Raises:
        ValueError: `constrained`, `outside_penalty` or span_f1 for tags that mark no spans.

    Shape:
        Scores: (B, T, K).
    """

    acts_with: ClassVar[dict[str, str]] = {"focusing": "loss=focal"}

    reads = "tagging"
    example_answers = (["a"],)
    loss_unit = "nats"
    legend = "word/tag, or word/answer(target) where the answer differs from it"
    needs_every_step = True
    forbidden: Tensor

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        decoder: Literal["softmax", "crf"] = "softmax",
        constrained: bool = False,
        outside_penalty: float = 0.0,
        dropout: float = 0.0,
        neighbours: int = 0,
        loss: Literal["cross_entropy", "quadratic", "focal", "hinge"] = "cross_entropy",
        outputs: OutputsName | None = None,
        label_smoothing: float = 0.0,
        focusing: float = 2.0,
    ):
        super().__init__()
        self.objective = ClassLoss(loss, outputs, label_smoothing, focusing)
        if decoder == "crf" and (not self.objective.is_likelihood or label_smoothing):
            raise ValueError(
                "decoder=crf is trained by the likelihood of the whole sequence of tags: leave loss, outputs and "
                "label_smoothing out, or choose decoder=softmax"
            )
        self.loss_unit = self.objective.loss_unit
        self.spec, self.metric_names, self.constrained = spec, metrics, constrained
        self.dropout = create_dropout(dropout)
        self.head = nn.Linear(feature_size, spec.output_size)
        self.words = WordScores(neighbours, spec) if neighbours else None
        self.chain = LinearChain(spec.output_size) if decoder == "crf" else None
        if constrained:
            self.register_buffer("forbidden", _forbidden(spec), persistent=False)
        self.penalties = _penalties(spec, outside_penalty)
        if (
            "span_f1" in metrics
            and spec.targets is not None
            and all(parse(tag).role == OUTSIDE for tag in self.classes())
        ):
            raise ValueError("metrics contains span_f1, but no tag marks a span (B-TYPE, ...): remove it")

    @property
    def reads_characters(self) -> bool:
        return self.words is not None

    def forward(self, features: Features, batch: Batch) -> Tensor:
        scores = self.head(self.dropout(features.outputs))
        return scores if self.words is None else scores + self.words(batch.inputs, batch.lengths, batch.spelling)

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        if self.chain is None:
            return self.objective.of_steps(scores, batch.required_targets, batch.lengths if batch.padded else None)
        return Loss(-self.chain(scores.float(), batch.required_targets, batch.lengths).sum(), batch.lengths.sum())

    def further_losses(self, scores: Tensor, batch: Batch) -> dict[str, Loss]:
        if self.objective.is_likelihood or not self.objective.has_probabilities:
            return {}
        lengths = batch.lengths if batch.padded else None
        return {self.objective.own_name: self.objective.of_steps(scores, batch.required_targets, lengths, True)}

    @property
    def loss_name(self) -> str:
        return self.objective.loss_name

    @property
    def training_loss_name(self) -> str:
        return self.objective.training_loss_name

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def classes(self) -> list[str]:
        return self._names(list(range(self.spec.output_size)))

    def report(self) -> Confusion:
        return confusion_of(self.classes())

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """The best tags of each row; the score is their log-probability among all sequences, invalid ones included,
        without the penalty, and None with linear outputs.
        """
        scores = model.scores(batch, features).float()
        if self.chain is None:
            scores = self.objective.log_probabilities(scores)
        penalties = scores.new_tensor(self.penalties)
        penalised = scores - penalties
        if self.chain is None and not self.constrained:
            best, tags = penalised.max(-1)
            sums = (best * mask(batch.lengths, best.shape[1])).sum(1)
        else:
            tags, sums = best_tags(penalised, batch.lengths, self._transitions(scores))
        if self.chain is not None:
            sums = sums - log_partition(scores, batch.lengths, self.chain.transitions)
        sums = sums + (penalties[tags] * mask(batch.lengths, tags.shape[1])).sum(1)
        known = self.objective.has_probabilities
        rows = zip(tags.tolist(), batch.lengths.tolist(), sums.tolist(), strict=True)
        return [Prediction(self._names(row[:length]), score if known else None) for row, length, score in rows]

    def _transitions(self, scores: Tensor) -> Tensor:
        size = scores.shape[2] + 1
        transitions = scores.new_zeros(size, size) if self.chain is None else self.chain.transitions
        return transitions.masked_fill(self.forbidden, float("-inf")) if self.constrained else transitions

    def references(self, batch: Batch) -> list:
        rows = zip(batch.required_targets.tolist(), batch.lengths.tolist(), strict=True)
        return [self._names(row[:length]) for row, length in rows]

    def _names(self, ids: list[int]) -> list[str]:
        return [self.spec.target_codec.decode([i]) for i in ids]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """For each token word/TAG, or word/ANSWER(TAG) where the prediction differs from the target."""
        references = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        if self.spec.inputs is None:
            rows = [[str(step + 1) for step in range(length)] for length in batch.lengths.tolist()]
        else:
            rows = self.labels_read(batch)
        lines = []
        for words, prediction, reference in zip(rows, predictions, references, strict=True):
            tags = [a if a == b else f"{a}({b})" for a, b in zip(prediction.answer, reference, strict=True)]
            lines.append(" ".join(f"{word}/{tag}" for word, tag in zip(words, tags, strict=True)))
        return lines


def _forbidden(spec: DataSpec) -> Tensor:
    """Forbidden transitions, (K + 1, K + 1): True where the tag of the column may not follow that of the row. The last
    row and column stand for the beginning and the end of a sequence.
    """
    size = spec.output_size
    if spec.targets is None:  # before the data has been read
        return torch.zeros(size + 1, size + 1, dtype=torch.bool)
    scheme = _scheme(spec, "constrained is true")
    names = [*(spec.targets.decode([i]) for i in range(size)), OUTSIDE]
    return torch.tensor([[not may_follow(before, name, scheme) for name in names] for before in names])


def _penalties(spec: DataSpec, outside: float) -> list[float]:
    """The penalty of each tag, in nats."""
    penalties = [0.0] * spec.output_size
    if outside and spec.targets is not None:
        _scheme(spec, f"outside_penalty is {outside}")
        [tag] = spec.targets.encode([OUTSIDE])
        penalties[tag] = outside
    return penalties


def _scheme(spec: DataSpec, option: str) -> str:
    """The scheme of the tags, such as BIO. Raises ValueError for tags that mark no spans."""
    scheme = getattr(spec.targets, "scheme", None)
    if scheme is None:
        raise ValueError(f"{option}, but no tag marks a span (B-TYPE, ...): remove it")
    return scheme
