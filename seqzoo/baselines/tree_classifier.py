"""Logistic regression on the n-grams of the words of a tree for its root, and known phrases for the other nodes."""

from __future__ import annotations

from collections import Counter, defaultdict

from seqzoo.baselines.contract import Answers, Baseline, Split, most_frequent
from seqzoo.baselines.ngram_classifier import Fitted, classified, fitted_classifiers
from seqzoo.baselines.phrases import Phrases, Roots
from seqzoo.contracts.spec import DataSpec


class TreeClassifier(Baseline):
    """Classifies roots as `NgramClassifier` does texts. Another node gets the most frequent label that the words at and
    below it have in the training trees, or the most frequent one of all where they do not occur.
    """

    kind = "trees"
    name = "n-grams with logistic regression"
    package = "scikit-learn"
    speed = 1e4

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.inputs is not None

    def fit(self, train: Split, validation: Split) -> None:
        counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        phrases = Phrases(train)
        for text, label in zip(phrases.tokens, phrases.references, strict=True):
            counts[tuple(text)][label] += 1
        self.other = most_frequent(Counter(phrases.references))
        self.labels = {text: most_frequent(count) for text, count in counts.items()}
        held_out = Phrases(validation)
        self._fitted = validation.best(
            fitted_classifiers(Roots(train)), lambda fitted: Answers(self._labelled(fitted, held_out))
        )
        self.description = f"{self._fitted.description}; other nodes by the label of the same words"

    def answer(self, split: Split) -> Answers:
        return Answers(self._labelled(self._fitted, Phrases(split)))

    def _labelled(self, fitted: Fitted, phrases: Phrases) -> list[str]:
        of_roots = iter(classified(fitted, Roots(phrases)).answers or [])
        nodes = zip(phrases.are_roots, phrases.tokens, strict=True)
        return phrases.answers(
            [next(of_roots) if is_root else self.labels.get(tuple(text), self.other) for is_root, text in nodes]
        )
