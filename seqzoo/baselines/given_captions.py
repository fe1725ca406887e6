"""Captions of the training split for other pictures: one caption for all of them, or one of the nearest picture's.

Devlin et al., Exploring Nearest Neighbor Approaches for Image Captioning, 2015, https://arxiv.org/abs/1505.04467
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import all_of
from seqzoo.metrics.caption_scores import caption_tokens

TRIED = 60
"""Number of captions scored as constants: those that share most n-grams with the validation captions."""
NEIGHBOURS = (1, 5)
"""Numbers of nearest pictures whose captions are compared."""
SIDE = 16
"""Pixels of a side of the pictures that are compared."""

Ngrams = Counter[tuple[str, ...]]


class ConstantCaption(Baseline):
    """The training caption that scores best on the validation split, for all pictures."""

    kind = "transduction"
    name = "constant caption"
    speed = 2e2

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.given_as_files and spec.rate is None

    def fit(self, train: Split, validation: Split) -> None:
        texts = {text for reference in train.references for text in all_of(reference)}
        held_out = [list(map(ngrams, all_of(reference))) for reference in validation.references]
        rows_with = Counter(ngram for counts in held_out for ngram in set().union(*counts))

        def shared(text: str) -> float:
            features = ngrams(text)
            return sum(rows_with[ngram] for ngram in features) / max(features.total(), 8)

        tried = sorted(texts, key=lambda text: (-shared(text), text))[:TRIED]
        self.text = validation.best(tried, lambda text: Answers([text] * len(validation.references)))
        self.description = self.text

    def answer(self, split: Split) -> Answers:
        return Answers([self.text] * len(split.references))


class NearestPicture(Baseline):
    """Of the captions of the nearest training pictures, by their pixels at a low resolution or by the mean of their
    given features, the one that is most similar to the others.
    """

    kind = "transduction"
    name = "nearest picture"
    speed = 2e2

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.given_as_files and spec.rate is None

    def fit(self, train: Split, validation: Split) -> None:
        self._known, self._captions = vectors(train), [all_of(reference) for reference in train.references]
        self.neighbours = validation.best(NEIGHBOURS, lambda number: self._of(validation, number))
        number = "picture" if self.neighbours == 1 else f"{self.neighbours} pictures"
        self.description = f"caption of the nearest {number}, {SIDE} x {SIDE} pixels"

    def answer(self, split: Split) -> Answers:
        return self._of(split, self.neighbours)

    def _of(self, split: Split, neighbours: int) -> Answers:
        answers = []
        count = min(neighbours, len(self._known))
        for rows in torch.cdist(vectors(split), self._known).topk(count, largest=False).indices.tolist():
            texts = [text for row in rows for text in self._captions[row]]
            counted = list(map(ngrams, texts))
            best = max(range(len(texts)), key=lambda i: sum(similarity(counted[i], other) for other in counted))
            answers.append(texts[best])
        return Answers(answers)


def vectors(split: Split) -> Tensor:
    """(N, D), the pictures of a split at a low resolution, or the means of their features."""
    if split.spec.picture is None:
        return torch.cat([batch.inputs.mean(1) for batch in split.batches()])
    return torch.cat([F.adaptive_avg_pool2d(batch.inputs, SIDE).flatten(1) for batch in split.batches()])


def ngrams(text: str) -> Ngrams:
    """The n-grams of the words of a caption, n = 1 to 4."""
    tokens = caption_tokens(text)
    return Counter(tuple(tokens[i : i + n]) for n in range(1, 5) for i in range(len(tokens) - n + 1))


def similarity(first: Ngrams, second: Ngrams) -> float:
    """The share of n-grams that two captions have in common."""
    return 2 * (first & second).total() / max(first.total() + second.total(), 1)
