"""The target of the most similar training source, by the cosine of TF-IDF weights."""

from __future__ import annotations

from typing import Any

import numpy

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.baselines.ngram_classifier import Ngrams, ngrams_of
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import all_of

LETTERS = (3, 5)
"""Lengths of the n-grams of characters; shorter ones are in almost every text."""
ROWS = 256
"""Sources that are compared with all of training at once."""


class NearestSource(Baseline):
    """Answers with the target of the nearest training source, the first one among equals. n-grams of words or of
    characters are chosen on the validation split.
    """

    kind = "transduction"
    name = "nearest source"
    package = "scikit-learn"
    speed = 2e4

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.inputs is not None

    def fit(self, train: Split, validation: Split) -> None:
        self._train = train
        self._targets = [all_of(reference)[0] for reference in train.references]
        self._ngrams = validation.best(
            ngrams_of(train, characters=LETTERS), lambda ngrams: self._of(ngrams, validation)
        )
        self.description = f"target of the most similar source: {self._ngrams.description}"

    def answer(self, split: Split) -> Answers:
        return self._of(self._ngrams, split)

    def _of(self, ngrams: Ngrams, split: Split) -> Answers:
        known: Any = ngrams.of(self._train).T.tocsr()
        vectors = ngrams.of(split)
        answers = []
        for start in range(0, vectors.shape[0], ROWS):
            nearest = numpy.asarray((vectors[start : start + ROWS] @ known).argmax(axis=1)).ravel()
            answers += [self._targets[row] for row in nearest.tolist()]
        return Answers(answers)
