"""Many to one: a class for each sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import Alignment, Batch, Explanation, Features, Loss, Prediction
from seqzoo.contracts.capabilities import Others
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import BinaryConfusion, Confusion, MetricName, confusion_of, create_metrics
from seqzoo.network.heads.class_loss import ClassLoss, ClassLossName, OutputsName
from seqzoo.network.heads.log_mixture import EQUAL, fit_shares
from seqzoo.network.heads.ngrams import NgramScores
from seqzoo.network.heads.pooling import Pooling, PoolingName
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.network.saliency import gradient_times_input
from seqzoo.tasks.example_lines import answer_lines, texts_or_steps


class Classification(Task):
    """Predicts a class for each sequence from its pooled features.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        pooling: how the outputs of all steps become one vector, see `seqzoo.network.heads.pooling`; a list
            concatenates several.
        labels: "classes"; "ordinal": classes ordered by the numbers that their labels are, such as ratings
            (`CumulativeLink`); "numbers": regression on these numbers, answered by the nearest class.
        loss: of training, see `ClassLoss`; "ordinal" needs labels that are numbers. Outside training it is the negative
            log-likelihood where the outputs stand for probabilities.
        outputs: how scores become outputs: "softmax", "sigmoid" or "linear"; None: as is usual for the loss.
        focusing: gamma of loss="focal".
        class_weights: weights of the classes in the training loss, in the order of the classes; "balanced": inverse to
            their frequency; None: equal weights.
        label_smoothing: share of the target probability that is spread over all classes in training (Szegedy et al.,
            Rethinking the Inception Architecture, 2016, https://arxiv.org/abs/1512.00567).
        dropout: dropout on the pooled features before the head.
        ngrams: the longest n-grams of a linear classifier (`seqzoo.network.heads.ngrams`) that is trained beside the
            network by a loss of its own. Where the data has `characters`, it also reads n-grams of the characters of
            words. The log-probabilities of both are added, each multiplied by its share: one half in training, and
            afterwards fitted on the validation split. 0: no such classifier.

    Raises:
        ValueError: an option is out of its range or does not suit the labels.

    Shape:
        Scores: (B, K), or (B, 1) with labels="numbers"; (B, K, 2) in training with `ngrams`, of the network and of the
        n-grams.
    """

    acts_with: ClassVar[dict[str, str]] = {"focusing": "loss=focal"}

    reads = "classification"
    example_answers = ("1",)  # a class may be a number
    alignment_needs = "a pooling by attention, such as task.pooling=attention, and text as input"
    explanation_needs = "text as input"
    loss_unit = "nats"
    values: Tensor
    class_weights: Tensor | None
    shares: Tensor

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        pooling: PoolingName | list[PoolingName] = "last",
        labels: Literal["classes", "ordinal", "numbers"] = "classes",
        class_weights: Literal["balanced"] | list[float] | None = None,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        ngrams: int = 0,
        loss: ClassLossName = "cross_entropy",
        outputs: OutputsName | None = None,
        focusing: float = 2.0,
    ):
        super().__init__()
        order = torch.argsort(_values(spec, "loss is ordinal")).tolist() if loss == "ordinal" else None
        self.objective = ClassLoss(loss, outputs, label_smoothing, focusing, order)
        if labels == "numbers" and (loss, outputs) != ("cross_entropy", None):
            raise ValueError("labels=numbers is trained by the squared error: leave loss and outputs out")
        if labels == "ordinal" and self.objective.outputs != "softmax":
            raise ValueError("labels=ordinal gives probabilities of classes: choose a loss and outputs=softmax")
        if ngrams and self.objective.outputs != "softmax":
            raise ValueError("ngrams add probabilities of classes: choose a loss and outputs=softmax, or ngrams=0")
        if label_smoothing and labels == "numbers":
            raise ValueError("label_smoothing spreads a probability: labels=numbers has none, leave it 0")
        if ngrams and labels == "numbers":
            raise ValueError("ngrams give probabilities of classes: labels=numbers has none, leave it 0")
        self.spec, self.metric_names, self.labels, self.loss_unit = spec, metrics, labels, self.objective.loss_unit
        self.pooling = Pooling(feature_size, pooling)
        self.dropout = create_dropout(dropout)
        self.head: nn.Module
        if labels == "ordinal":
            self.head = CumulativeLink(self.pooling.output_size, spec.output_size)
        else:
            self.head = nn.Linear(self.pooling.output_size, 1 if labels == "numbers" else spec.output_size)
        self.ngrams = NgramScores(ngrams, spec.output_size, spec.character_size > 0) if ngrams else None
        if ngrams:
            self.register_buffer("shares", torch.tensor(EQUAL))
        if labels == "numbers":
            self.loss_unit = "squared error"
        if labels != "classes":
            self.register_buffer("values", _values(spec, f"labels is {labels}"), persistent=False)
        if isinstance(self.head, nn.Linear) and labels == "numbers":
            with torch.no_grad():
                self.head.bias.copy_(self.values.mean())  # start from the mean of the labels instead of zero
        elif "mae" in metrics:
            _values(spec, "metrics names mae")
        weights = None if class_weights is None else _class_weights(class_weights, spec)
        self.register_buffer("class_weights", weights, persistent=False)

    @property
    def reads_characters(self) -> bool:
        return self.ngrams is not None

    def forward(self, features: Features, batch: Batch) -> Tensor:
        if self.ngrams is None:
            return self._of_network(features)
        # not added: a network that knows the training examples by heart would leave nothing for the n-grams to learn
        both = self._of_both(features, batch)
        return both if self.training else (both.float().log_softmax(1) * self.shares).sum(-1)

    def _of_network(self, features: Features) -> Tensor:
        return self.head(self.dropout(self.pooling(features)))

    def _of_both(self, features: Features, batch: Batch) -> Tensor:
        """The scores of the network and of the n-grams, (B, K, 2)."""
        assert self.ngrams is not None
        of_ngrams = self.ngrams(batch.inputs, batch.lengths, batch.spelling)
        return torch.stack([self._of_network(features), of_ngrams], -1)

    @torch.no_grad()
    def calibrate(self, model: Network, encoded: Iterable[tuple[Batch, Features]]) -> bool:
        """Fit the shares of network and n-grams."""
        if self.ngrams is None:
            return False
        scored = [(self._of_both(features, batch).float(), batch.required_targets) for batch, features in encoded]
        scores, targets = (torch.cat(parts) for parts in zip(*scored, strict=True))
        self.shares.copy_(fit_shares(scores.log_softmax(1), targets))
        return True

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        """The objective or squared error. Class weights and label smoothing apply in training only."""
        targets, weights = batch.required_targets, self.class_weights if self.training else None
        count = torch.tensor(len(targets), device=targets.device) if weights is None else weights[targets].sum()
        if self.labels == "numbers":
            # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
            errors = (scores[:, 0].float() - self.values[targets]).square()
            return Loss((errors if weights is None else errors * weights[targets]).sum(), count)
        if scores.ndim == 3:
            targets, count = targets[:, None].expand(-1, 2), 2 * count
        return Loss(self.objective(scores, targets, weights), count)

    def further_losses(self, scores: Tensor, batch: Batch) -> dict[str, Loss]:
        if self.labels == "numbers" or self.objective.is_likelihood or not self.objective.has_probabilities:
            return {}
        targets = batch.required_targets
        count = torch.tensor(len(targets), device=targets.device)
        return {self.objective.own_name: Loss(self.objective.own(scores, targets), count)}

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        targets = torch.randint(self.spec.output_size, (rows,))
        return replace(super().example_batch(rows, steps, numbers), targets=targets)

    @property
    def loss_name(self) -> str:
        return super().loss_name if self.labels == "numbers" else self.objective.loss_name

    @property
    def training_loss_name(self) -> str:
        if self.labels == "numbers" or self.class_weights is not None:
            return "loss"
        return self.objective.training_loss_name

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    def classes(self) -> list[str]:
        return _labels(self.spec)

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        return [best for best, *_ in self._ranked(model.scores(batch, features), 1)]

    def candidates(self, model: Network, batch: Batch, n_best: int) -> list[list[Prediction]]:
        return self._ranked(model.scores(batch), n_best)

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        if self.ngrams is not None:
            raise ConfigError(["the run also reads n-grams of texts, which are not exported: train with task.ngrams=0"])
        return self.answer_scores(self._of_network(features))

    def _ranked(self, scores: Tensor, count: int) -> list[list[Prediction]]:
        """The `count` best answers of each row."""
        ranked = self.answer_scores(scores)
        best, answers = ranked.topk(min(count, ranked.shape[1]), -1)
        known = self.labels == "numbers" or self.objective.has_probabilities
        rows = zip(answers.tolist(), best.tolist(), strict=True)
        return [
            [
                Prediction(self.spec.target_codec.decode([answer]), score if known else None)
                for answer, score in zip(*row, strict=True)
            ]
            for row in rows
        ]

    def answer_scores(self, scores: Tensor) -> Tensor:
        """(B, K): log-probabilities; with labels=numbers, minus the squared distance to each class's number; linear
        outputs as they are.
        """
        if self.labels == "numbers":
            return -(scores.float() - self.values).square()
        return self.objective.log_probabilities(scores)

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack([part.float() for part in scores])
        return stacked.mean(0) if self.labels == "numbers" else self.objective.average(stacked)

    def report(self) -> Confusion:
        classes = self.classes()
        of_probabilities = self.labels != "numbers" and self.objective.has_probabilities
        return BinaryConfusion(classes) if len(classes) == 2 and of_probabilities else confusion_of(classes)

    def alignments(self, model: Network, batch: Batch, others: Others = ()) -> list[Alignment]:
        """The weights of pooling by attention; empty for other pooling and for numeric inputs."""
        if self.spec.inputs is None:
            return []
        features = model.encode(batch)
        weights = self.pooling.weights(features)
        if weights is None or weights.shape[1] != batch.inputs.shape[1]:
            return []
        answers = self.decode(model, batch, features)
        rows = zip(self.labels_read(batch), answers, weights.cpu(), strict=True)
        return [Alignment(read, [str(answer.answer)], row[None, : len(read)]) for read, answer, row in rows]

    def explain(self, model: Network, batch: Batch, n_best: int = 1) -> list[list[Explanation]]:
        """The attention weights of the pooling, which are the same for all classes; without attention, gradient x input
        of each answer's log-probability or, with labels="numbers", of the predicted number.
        """
        if self.spec.inputs is None:
            return []
        count = min(n_best, self.spec.output_size)
        alignments = self.alignments(model, batch)
        if alignments:
            return [[Explanation("attention", row.read, row.weights[0])] * count for row in alignments]

        def attribution(rank: int) -> Tensor:
            """The normalised attributions of the answer of this rank, (B, T)."""

            def score(scores: Tensor) -> Tensor:
                return scores if self.labels == "numbers" else self.answer_scores(scores).topk(count).values[:, rank]

            weights = gradient_times_input(model, batch, score).cpu()
            return weights / weights.abs().sum(1, keepdim=True).clamp(min=1e-12)

        ranks = [attribution(rank) for rank in range(count)]
        method = "gradient x input" if self.ngrams is None else "gradient x input of the network, without its n-grams"
        return [
            [Explanation(method, read, weights[row, : len(read)]) for weights in ranks]
            for row, read in enumerate(self.labels_read(batch))
        ]

    def references(self, batch: Batch) -> list:
        return [self.spec.target_codec.decode([label]) for label in batch.required_targets.tolist()]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the text or the number of steps -> class   (target: where it differs)."""
        return answer_lines(texts_or_steps(self, batch), self, batch, predictions)


class CumulativeLink(nn.Module):
    """Ordinal regression with the proportional odds model: P(class <= k) = sigmoid(threshold_k - score), with one score
    per sequence and K - 1 increasing thresholds.

    Cao, Mirjalili & Raschka, Rank Consistent Ordinal Regression for Neural Networks, 2020,
    https://arxiv.org/abs/1901.07884, train the same K - 1 decisions with separate losses; here they form one
    distribution over classes.

    Args:
        feature_size: F, width of the input.
        classes: K, number of classes.

    Shape:
        (B, F) -> (B, K), log-probabilities.

    Source: McCullagh, Regression Models for Ordinal Data, 1980
    """

    def __init__(self, feature_size: int, classes: int):
        super().__init__()
        self.score = nn.Linear(feature_size, 1, bias=False)
        self.lowest = nn.Parameter(torch.tensor([1 - classes / 2]))
        self.gaps = nn.Parameter(torch.full((max(classes - 2, 0),), 0.5413))  # softplus(0.5413) = 1

    def forward(self, x: Tensor) -> Tensor:
        gaps = F.softplus(self.gaps)
        thresholds = torch.cat([self.lowest, self.lowest + gaps.cumsum(0)])
        to_threshold = thresholds.float() - self.score(x).float()  # (B, K - 1)
        below, above = F.logsigmoid(to_threshold), F.logsigmoid(-to_threshold)
        # log(sigmoid(a) - sigmoid(b)) = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)), without cancellation
        between = below[:, 1:] + above[:, :-1] + torch.log(-torch.expm1(-gaps.float()))
        return torch.cat([below[:, :1], between, above[:, -1:]], dim=-1)


def _labels(spec: DataSpec) -> list[str]:
    return [spec.target_codec.decode([i]) for i in range(spec.output_size)]


def _values(spec: DataSpec, why: str) -> Tensor:
    """The labels as numbers, (K,); before the data has been read, 0 to K - 1. Raises ValueError for other labels; `why`
    begins the message.
    """
    if spec.targets is None:
        return torch.arange(spec.output_size).float()
    labels = _labels(spec)
    try:
        values = [float(label) for label in labels]
    except ValueError:
        shown = ", ".join(labels[:5])
        raise ValueError(
            f"{why}: the labels must be numbers, such as ratings from 1 to 5, but they are {shown}"
        ) from None
    return torch.tensor(values)


def _class_weights(option: Literal["balanced"] | list[float], spec: DataSpec) -> Tensor | None:
    """The weights of the classes, (K,); if balanced, with mean 1 over the training examples."""
    if spec.targets is None:
        return None
    if option == "balanced":
        if spec.class_counts is None:
            raise ValueError("class_weights is balanced, but this data does not count its classes: give a list")
        counts = torch.tensor(spec.class_counts, dtype=torch.float)
        weights = counts.sum() / (counts.count_nonzero() * counts)
        return weights.masked_fill(counts == 0, 0.0)  # classes that occur in other splits only
    if len(option) != spec.output_size or min(option) <= 0:
        labels = ", ".join(_labels(spec)[:10])
        raise ValueError(
            f"class_weights is {option}: give a positive number for each of the {spec.output_size} classes ({labels})"
        )
    return torch.tensor(option, dtype=torch.float)
