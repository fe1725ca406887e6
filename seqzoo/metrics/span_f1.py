"""Spans of tags: names, places, phrases."""

from __future__ import annotations

import math
from collections import Counter

from seqzoo.contracts.span_notation import spans
from seqzoo.metrics.answers import PredictionMetric


class SpanCounts:
    """Spans by their type: how many were found, with type, first and last step, how many were answered and are real."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.real: Counter[str] = Counter()

    def add(self, answer: list[str], reference: list[str]) -> None:
        answered, real = set(spans(answer)), set(spans(reference))
        for counter, some in ((self.found, answered & real), (self.answered, answered), (self.real, real)):
            counter.update(kind for kind, _, _ in some)


class SpanF1(PredictionMetric):
    """Micro-averaged F1 of entities: one counts as found where type, first and last step agree.

    Every scheme of `seqzoo.contracts.span_notation` is read without a setting, broken ones as conlleval reads them.
    Zero where rows were seen but no entity.

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
        found, answered, real = (c.total() for c in (self.counts.found, self.counts.answered, self.counts.real))
        return 2 * found / max(answered + real, 1)
