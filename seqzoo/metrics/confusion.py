"""Which class was answered for which: the report of a finished run, by class."""

from __future__ import annotations

import math
from typing import Any, cast

from seqzoo.contracts.batch import Prediction
from seqzoo.contracts.span_notation import OUTSIDE, parse, scheme_of
from seqzoo.metrics.answers import labels
from seqzoo.metrics.span_f1 import SpanCounts


class Confusion:
    """How often each class was answered for each right one: counts[right][answered], in the order of the classes.

    Raises ValueError where an answer has more or fewer labels than its reference.
    """

    def __init__(self, classes: list[str]):
        self.classes = classes
        self.counts = [[0] * len(classes) for _ in classes]
        self._places = {name: place for place, name in enumerate(classes)}

    def update(self, predictions: list[Prediction], references: list) -> None:
        for prediction, reference in zip(predictions, references, strict=True):
            for given, right in labels(prediction.answer, reference):
                self.counts[self._places[right]][self._places[given]] += 1

    def by_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, f1 and support, the examples that there are, of each class; 0 where nothing counts."""
        found = {}
        for place, name in enumerate(self.classes):
            answered = sum(row[place] for row in self.counts)
            found[name] = _by_class(self.counts[place][place], answered, sum(self.counts[place]))
        return found

    def to_plain(self) -> dict[str, Any]:
        return {"by_class": self.by_class(), "classes": self.classes, "confusion": self.counts}


class BinaryConfusion(Confusion):
    """The same of two classes, where an answer's score is the log of its probability.

    probabilities, right: of the second class, what each example was given, and whether it is of that class.
    """

    def __init__(self, classes: list[str]):
        super().__init__(classes)
        self.probabilities: list[float] = []
        self.right: list[bool] = []

    def update(self, predictions: list[Prediction], references: list) -> None:
        super().update(predictions, references)
        second = self.classes[1]
        self.probabilities += [
            math.exp(score) if answer == second else -math.expm1(score) for answer, score in predictions
        ]
        self.right += [reference == second for reference in references]


class SpanConfusion(Confusion):
    """The same of tags that mark spans; its report is by the spans' types."""

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
        return {kind: _by_class(counts.found[kind], counts.answered[kind], counts.real[kind]) for kind in kinds}


def confusion_of(classes: list[str]) -> Confusion:
    """A fresh count for these classes, or for tags that mark spans."""
    return Confusion(classes) if scheme_of([classes]) is None else SpanConfusion(classes)


def _by_class(right: int, answered: int, real: int) -> dict[str, float]:
    return {
        "precision": right / max(answered, 1),
        "recall": right / max(real, 1),
        "f1": 2 * right / max(answered + real, 1),
        "support": real,
    }
