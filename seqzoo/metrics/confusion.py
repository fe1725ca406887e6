"""Confusion matrices: the scores of a finished run by class."""

from __future__ import annotations

import math
from typing import Any, cast

from seqzoo.contracts.batch import Prediction
from seqzoo.contracts.span_notation import OUTSIDE, parse, scheme_of
from seqzoo.metrics.answers import given_labels
from seqzoo.metrics.span_f1 import SpanCounts


class Confusion:
    """A confusion matrix.

    Attributes:
        counts: counts[i][j] is how often class j was predicted where class i was correct.

    Raises:
        ValueError: in `update`, an answer has another number of labels than its reference.
    """

    def __init__(self, classes: list[str]):
        self.classes = classes
        self.counts = [[0] * len(classes) for _ in classes]
        self._index = {name: i for i, name in enumerate(classes)}

    def update(self, predictions: list[Prediction], references: list) -> None:
        for prediction, reference in zip(predictions, references, strict=True):
            for predicted, correct in given_labels(prediction.answer, reference):
                self.counts[self._index[correct]][self._index[predicted]] += 1

    def by_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of each class; 0 where the denominator is 0."""
        scores = {}
        for i, name in enumerate(self.classes):
            predicted = sum(row[i] for row in self.counts)
            scores[name] = _scores(self.counts[i][i], predicted, sum(self.counts[i]))
        return scores

    def to_plain(self) -> dict[str, Any]:
        axes = ["reference", "prediction"]  # rows, columns
        return {"by_class": self.by_class(), "classes": self.classes, "confusion_axes": axes, "confusion": self.counts}


class BinaryConfusion(Confusion):
    """The confusion matrix of two classes, and the probabilities, for curves over all thresholds.

    The score of a prediction is the log-probability of its class.

    Attributes:
        probabilities: of the second class, for each example.
        right: whether each example is of the second class.
    """

    def __init__(self, classes: list[str]):
        super().__init__(classes)
        self.probabilities: list[float] = []
        self.right: list[bool] = []

    def update(self, predictions: list[Prediction], references: list) -> None:
        super().update(predictions, references)
        second = self.classes[1]
        self.probabilities += [
            math.exp(score or 0.0) if answer == second else -math.expm1(score or 0.0) for answer, score in predictions
        ]
        self.right += [reference == second for reference in references]


class SpanConfusion(Confusion):
    """The confusion matrix of tags that mark spans; `by_class` scores spans by their types."""

    def __init__(self, classes: list[str]):
        super().__init__(classes)
        self.spans = SpanCounts()

    def update(self, predictions: list[Prediction], references: list) -> None:
        super().update(predictions, references)
        for prediction, reference in zip(predictions, references, strict=True):
            self.spans.add(cast("list[str]", prediction.answer), reference)

    def by_class(self) -> dict[str, dict[str, float]]:
        counts = self.spans
        kinds = sorted({parse(tag).kind for tag in self.classes if tag != OUTSIDE})
        return {kind: _scores(counts.matched[kind], counts.predicted[kind], counts.correct[kind]) for kind in kinds}


def confusion_of(classes: list[str]) -> Confusion:
    """A confusion matrix of these classes: a `SpanConfusion` where they are tags that mark spans."""
    return Confusion(classes) if scheme_of([classes]) is None else SpanConfusion(classes)


def _scores(matched: int, predicted: int, correct: int) -> dict[str, float]:
    return {
        "precision": matched / max(predicted, 1),
        "recall": matched / max(correct, 1),
        "f1": 2 * matched / max(predicted + correct, 1),
        "support": correct,
    }
