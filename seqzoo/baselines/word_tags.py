"""The most frequent tag of each word."""

from __future__ import annotations

from collections import Counter, defaultdict

from seqzoo.baselines.contract import Answers, Baseline, Split, most_frequent
from seqzoo.contracts.spec import DataSpec


class MostFrequentTag(Baseline):
    """Answers the most frequent tag of each word in training, and the most frequent one of all for other words."""

    kind = "tagging"
    name = "most frequent tag"
    speed = 1e6

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.inputs is not None

    def fit(self, train: Split, validation: Split) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for words, tags in zip(train.tokens, train.references, strict=True):
            for word, tag in zip(words, tags, strict=True):
                if tag:
                    counts[word][tag] += 1
        total = sum(counts.values(), Counter())
        self.other = most_frequent(total)
        self.tags = {word: most_frequent(count) for word, count in counts.items()}
        self.description = f"of the word; {self.other} for words that are not in the training data"

    def answer(self, split: Split) -> Answers:
        return Answers([[self.tags.get(word, self.other) for word in words] for words in split.tokens])
