"""Tagging: a tag for each token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import Streamed
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import IGNORED, mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.span_notation import OUTSIDE, may_follow, parse
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import Confusion, MetricName, confusion_of, create_metrics
from seqzoo.metrics.span_f1 import SpanF1
from seqzoo.network.heads.class_loss import ClassLoss, OutputsName
from seqzoo.network.heads.crf import LinearChain, best_tags, log_partition
from seqzoo.network.heads.word_scores import WordScores
from seqzoo.network.locked_dropout import create_dropout

PENALTIES = tuple(step / 4 for step in range(-8, 21))
"""The penalties on tokens outside all spans among which the fitted one is chosen, in nats."""


class Tagging(Task):
    """Predicts a tag for each token. A step whose target is IGNORED has no tag: it is neither learned nor scored.

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
        fit_outside_penalty: for tags that mark spans: after training, add to `outside_penalty` the one of `PENALTIES`
            with which the F1 of spans on the validation split is highest.
        dropout: dropout on the features before the head.
        neighbours: number of words on each side of a linear classifier (`seqzoo.network.heads.word_scores`), whose
            scores are added to those of the network. 0: no such classifier.
        loss: of training, see `ClassLoss`. Outside training it is the negative log-likelihood where the outputs stand
            for probabilities. The loss of decoder="crf" is that of the whole sequence of tags, "cross_entropy".
        outputs: how scores become outputs: "softmax", "sigmoid" or "linear"; None: as is usual for the loss.
        label_smoothing: share of the target probability that is spread over all tags in training.
        focusing: gamma of loss="focal".

    Raises:
        ValueError: `constrained`, a penalty or span_f1 for tags that mark no spans.

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
    fitted_penalty: Tensor

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        decoder: Literal["softmax", "crf"] = "softmax",
        constrained: bool = False,
        outside_penalty: float = 0.0,
        fit_outside_penalty: bool = False,
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
        self.outside_penalty, self.fits_penalty = outside_penalty, fit_outside_penalty
        if fit_outside_penalty:
            self.register_buffer("fitted_penalty", torch.zeros(()))
        self.outside = _outside(spec, outside_penalty, fit_outside_penalty)
        if (
            "span_f1" in metrics
            and spec.targets is not None
            and all(parse(tag).role == OUTSIDE for tag in self.classes())
        ):
            raise ValueError("metrics contains span_f1, but no tag marks a span (B-TYPE, ...): remove it")

    @property
    def reads_characters(self) -> bool:
        return self.words is not None

    def check_start(self, model: Network, data: DataModule) -> None:
        if self.chain is not None and any((batch.required_targets == IGNORED).any() for batch in data.batches("train")):
            raise ConfigError(
                ["task.decoder=crf needs a tag at every token, which these data do not have: use softmax"]
            )

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
        without the penalty, and None with linear outputs. Where targets are given, steps without one are not answered.
        """
        scores = self._normalised(model.scores(batch, features))
        if batch.targets is not None:
            scores = scores.masked_fill((batch.targets == IGNORED)[..., None], 0)
        tags, sums = self._best(scores, batch.lengths, self.penalty)
        if batch.targets is not None:
            tags = tags.masked_fill(batch.targets == IGNORED, IGNORED)
        if self.chain is not None:
            sums = sums - log_partition(scores, batch.lengths, self.chain.transitions)
        known = self.objective.has_probabilities
        rows = zip(self._answers(tags, batch.lengths), sums.tolist(), strict=True)
        return [Prediction(answer, score if known else None) for answer, score in rows]

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        self._check_alone()
        return self._normalised(self.head(features.outputs))

    def begin_stream(self) -> None:
        self._check_alone()

    def _check_alone(self) -> None:
        """Raise ConfigError if the tag of a token depends on more than the features of its step."""
        if self.chain is not None or self.constrained:
            advice = "train one with task.decoder=softmax task.constrained=false"
            raise ConfigError([f"the run chooses the tags of a whole text together, not step by step: {advice}"])
        if self.words is not None:
            advice = "train one with task.neighbours=0"
            raise ConfigError([f"the run also reads the words around each token, not step by step: {advice}"])

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[None]) -> list[Streamed]:
        """The tag of each new token, and the log-probabilities of all tags, or their scores with linear outputs."""
        scores = self.exported_scores(features, batch)
        tags, _ = self._best(scores, batch.lengths, self.penalty)
        answers = self._answers(tags, batch.lengths)
        return [Streamed(answer, row[: len(answer)]) for answer, row in zip(answers, scores, strict=True)]

    def end_stream(self, memory: None) -> Streamed:
        return Streamed([])

    @property
    def penalty(self) -> float:
        """The penalty on tokens outside all spans, in nats."""
        return self.outside_penalty + (float(self.fitted_penalty) if self.fits_penalty else 0.0)

    @torch.no_grad()
    def calibrate(self, model: Network, encoded: Iterable[tuple[Batch, Features]]) -> bool:
        """Fit the penalty on tokens outside all spans: of those whose F1 of spans is within one standard error of the
        best, the smallest, because the score of few spans says little (Breiman et al., Classification and Regression
        Trees, 1984).
        """
        if not self.fits_penalty:
            return False
        measured = {penalty: SpanF1() for penalty in sorted(PENALTIES, key=abs)}
        for batch, features in encoded:
            scores, references = self._normalised(model.scores(batch, features)), self.references(batch)
            for penalty, score in measured.items():
                tags, _ = self._best(scores, batch.lengths, self.outside_penalty + penalty)
                for answer, reference in zip(self._answers(tags, batch.lengths), references, strict=True):
                    score.add(answer, reference)
        best = max(measured.values(), key=SpanF1.compute)
        enough = best.compute() - best.standard_error()
        self.fitted_penalty.fill_(next((p for p, score in measured.items() if score.compute() >= enough), 0.0))
        return True

    def _normalised(self, scores: Tensor) -> Tensor:
        return scores.float() if self.chain is not None else self.objective.log_probabilities(scores.float())

    def _best(self, scores: Tensor, lengths: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
        """The best tags (B, T) with a penalty, and the sums (B,) of their scores and transitions without it."""
        penalties = scores.new_zeros(scores.shape[2])
        if self.outside is not None:
            penalties[self.outside] = penalty
        if self.chain is None and not self.constrained:
            best, tags = (scores - penalties).max(-1)
            sums = (best * mask(lengths, best.shape[1])).sum(1)
        else:
            tags, sums = best_tags(scores - penalties, lengths, self._transitions(scores))
        return tags, sums + (penalties[tags] * mask(lengths, tags.shape[1])).sum(1)

    def _answers(self, tags: Tensor, lengths: Tensor) -> list[list[str]]:
        return [self._names(row[:length]) for row, length in zip(tags.tolist(), lengths.tolist(), strict=True)]

    def _transitions(self, scores: Tensor) -> Tensor:
        size = scores.shape[2] + 1
        transitions = scores.new_zeros(size, size) if self.chain is None else self.chain.transitions
        return transitions.masked_fill(self.forbidden, float("-inf")) if self.constrained else transitions

    def references(self, batch: Batch) -> list:
        return self._answers(batch.required_targets, batch.lengths)

    def _names(self, ids: list[int]) -> list[str]:
        return ["" if i == IGNORED else self.spec.target_codec.decode([i]) for i in ids]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """For each token word/TAG, word/ANSWER(TAG) where the answer is another one, or word where there is no tag."""
        references = self.references(batch) if batch.targets is not None else [p.answer for p in predictions]
        if self.spec.inputs is None:
            rows = [[str(step + 1) for step in range(length)] for length in batch.lengths.tolist()]
        else:
            rows = self.labels_read(batch)
        lines = []
        for words, prediction, reference in zip(rows, predictions, references, strict=True):
            tags = [a if a == b else f"{a}({b})" for a, b in zip(prediction.answer, reference, strict=True)]
            lines.append(" ".join(f"{word}/{tag}" if tag else word for word, tag in zip(words, tags, strict=True)))
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


def _outside(spec: DataSpec, penalty: float, fitted: bool) -> int | None:
    """The id of the tag outside all spans, where there is a penalty on it."""
    if not (penalty or fitted) or spec.targets is None:
        return None
    _scheme(spec, f"outside_penalty is {penalty}" if penalty else "fit_outside_penalty is true")
    return spec.targets.encode([OUTSIDE])[0]


def _scheme(spec: DataSpec, option: str) -> str:
    """The scheme of the tags, such as BIO. Raises ValueError for tags that mark no spans."""
    scheme = getattr(spec.targets, "scheme", None)
    if scheme is None:
        raise ValueError(f"{option}, but no tag marks a span (B-TYPE, ...): remove it")
    return scheme
