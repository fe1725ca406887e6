"""The most frequent label of the training split, for every node of every tree."""

from __future__ import annotations

from collections import Counter

from seqzoo.baselines.contract import Answers, Baseline, Split, most_frequent
from seqzoo.baselines.likelihood import log_loss
from seqzoo.baselines.phrases import Phrases


class MajorityLabel(Baseline):
    """Answers the most frequent label of roots to roots, and that of the other nodes to other nodes; the probabilities
    of labels are their frequencies.
    """

    kind = "trees"
    name = "majority label"
    speed = 1e6

    def fit(self, train: Split, validation: Split) -> None:
        counts = Counter[str](), Counter[str]()  # of other nodes, of roots
        phrases = Phrases(train)
        for is_root, label in zip(phrases.are_roots, phrases.references, strict=True):
            counts[is_root][label] += 1
        self.labels = [most_frequent(count) if count else "" for count in counts]
        self.frequencies = [{label: n / count.total() for label, n in count.items()} for count in counts]
        others, root = self.labels
        self.description = f"always {root}" + (f"; {others} below the root" if others else "")

    def answer(self, split: Split) -> Answers:
        phrases = Phrases(split)
        nodes = zip(phrases.are_roots, phrases.references, strict=True)
        probabilities = [self.frequencies[is_root].get(label, 0.0) for is_root, label in nodes]
        answers = phrases.answers([self.labels[is_root] for is_root in phrases.are_roots])
        return Answers(answers, log_loss(split, probabilities))
