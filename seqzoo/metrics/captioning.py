"""Scores of captions, as in the COCO challenge."""

from __future__ import annotations

import math
from typing import Any

from seqzoo.metrics.answers import PredictionMetric, all_of
from seqzoo.metrics.caption_scores import caption_tokens, cider_d, rouge_l
from seqzoo.metrics.translation import CorpusScore


class CaptionBleu1(CorpusScore):
    """BLEU-1 of captions, 0 to 100, without smoothing, over `seqzoo.metrics.caption_scores.caption_tokens`."""

    name = "bleu_1"
    longest = 1

    def _create(self, metrics: Any) -> Any:
        return metrics.BLEU(max_ngram_order=self.longest, tokenize="none", smooth_method="none", force=True)

    def add(self, answer: str, reference: str | list[str]) -> None:
        tokenized = [" ".join(caption_tokens(text)) for text in (answer, *all_of(reference))]
        super().add(tokenized[0], tokenized[1:])


class CaptionBleu2(CaptionBleu1):
    """BLEU-2 of captions."""

    name = "bleu_2"
    longest = 2


class CaptionBleu3(CaptionBleu1):
    """BLEU-3 of captions."""

    name = "bleu_3"
    longest = 3


class CaptionBleu4(CaptionBleu1):
    """BLEU-4 of captions."""

    name = "bleu_4"
    longest = 4


class RougeL(PredictionMetric):
    """Mean ROUGE-L of captions, 0 to 100; see `seqzoo.metrics.caption_scores.rouge_l`."""

    name = "rouge_l"

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.total += 100 * rouge_l(caption_tokens(answer), list(map(caption_tokens, all_of(reference))))
        self.count += 1

    def compute(self) -> float:
        return self.total / self.count if self.count else math.nan


class CiderD(PredictionMetric):
    """Mean CIDEr-D of captions, 0 to 1000; see `seqzoo.metrics.caption_scores.cider_d`."""

    name = "cider_d"
    scores_alone = False  # the document frequencies are those of all rows

    def __init__(self) -> None:
        self.answers: list[list[str]] = []
        self.references: list[list[list[str]]] = []

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.answers.append(caption_tokens(answer))
        self.references.append(list(map(caption_tokens, all_of(reference))))

    def compute(self) -> float:
        return 100 * sum(cider_d(self.answers, self.references)) / len(self.answers) if self.answers else math.nan
