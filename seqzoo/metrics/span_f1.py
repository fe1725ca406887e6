"""F1 of the spans that tags mark, such as names."""

from __future__ import annotations

import math
from collections import Counter

from seqzoo.contracts.span_notation import spans
from seqzoo.metrics.answers import PredictionMetric


class SpanCounts:
    """Numbers of spans by their type. A predicted span matches a correct one of the same type, first and last step."""

    def __init__(self) -> None:
        self.matched: Counter[str] = Counter()
        self.predicted: Counter[str] = Counter()
        self.correct: Counter[str] = Counter()

    def add(self, answer: list[str], reference: list[str]) -> None:
        predicted, correct = set(spans(answer)), set(spans(reference))
        self.matched.update(kind for kind, _, _ in predicted & correct)
        self.predicted.update(kind for kind, _, _ in predicted)
        self.correct.update(kind for kind, _, _ in correct)


class SpanF1(PredictionMetric):
    """Micro-averaged F1 of spans, which match where type, first and last step agree.

    The scheme of the tags is recognised (`seqzoo.contracts.span_notation`); sequences that break it are read as by
    conlleval. The score is 0 where there are rows but no spans.

    Source: Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task, 2003
    (https://aclanthology.org/W03-0419), and its evaluation program conlleval.
    """

    name = "span_f1"

    def __init__(self) -> None:
        self.counts = SpanCounts()
        self.rows = 0

    def add(self, answer: list[str], reference: list[str]) -> None:
        self.counts.add(answer, reference)
        self.rows += 1

    def compute(self) -> float:
        if not self.rows:
            return math.nan
        counts = self.counts
        return 2 * counts.matched.total() / max(counts.predicted.total() + counts.correct.total(), 1)

    def standard_error(self) -> float:
        """Of the score, as if each predicted or correct span were matched independently."""
        spans = (self.counts.predicted.total() + self.counts.correct.total()) / 2
        return math.sqrt((score := self.compute()) * (1 - score) / max(spans, 1))
