"""The most frequent class of the training split, for every sequence."""

from __future__ import annotations

from collections import Counter

from seqzoo.baselines.contract import Answers, Baseline, Split, most_frequent
from seqzoo.baselines.likelihood import log_loss


class MajorityClass(Baseline):
    """Answers the most frequent class; the probabilities of the classes are their frequencies."""

    kind = "classification"
    name = "majority class"
    speed = 1e7

    def fit(self, train: Split, validation: Split) -> None:
        counts = Counter(train.references)
        self.label = most_frequent(counts)
        self.frequencies = {label: count / counts.total() for label, count in counts.items()}
        self.description = f"always {self.label}"

    def answer(self, split: Split) -> Answers:
        probabilities = [self.frequencies.get(label, 0.0) for label in split.references]
        return Answers([self.label] * len(probabilities), log_loss(split, probabilities))
