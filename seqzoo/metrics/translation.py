"""BLEU and chrF of written text, computed by sacrebleu."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

from seqzoo.contracts.errors import ConfigError, not_installed
from seqzoo.metrics.answers import PredictionMetric, all_of


class CorpusScore(PredictionMetric):
    """A corpus-level score of sacrebleu, 0 to 100. Answers and references are detokenised text; a row may have several
    references.

    Attributes:
        signature: sacrebleu's description of how the score was computed; set by `compute`.

    Raises:
        ConfigError: sacrebleu is not installed.
    """

    def __init__(self) -> None:
        try:
            from sacrebleu import metrics
        except ImportError:
            raise ConfigError([f"the metric {self.name} needs {not_installed('sacrebleu')}"]) from None
        self.score = self._create(metrics)
        self.signature = ""
        self.answers: list[str] = []
        self.references: list[list[str]] = []

    def _create(self, metrics: Any) -> Any:
        raise NotImplementedError

    def add(self, answer: str, reference: str | list[str]) -> None:
        self.answers.append(answer)
        self.references.append(all_of(reference))

    def compute(self) -> float:
        if not self.answers:
            return math.nan
        # sacrebleu takes the first references of all rows, then the second ones, ...; None where a row has fewer
        value = self.score.corpus_score(self.answers, list(map(list, zip_longest(*self.references)))).score
        self.signature = str(self.score.get_signature())
        return float(value)


class Bleu(CorpusScore):
    """BLEU-4 with the tokenization of the WMT evaluations (13a).

    Source: Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, 2002
    (https://aclanthology.org/P02-1040); Post, A Call for Clarity in Reporting BLEU Scores, 2018
    (https://aclanthology.org/W18-6319).
    """

    name = "bleu"
    tokenizer = "13a"

    def _create(self, metrics: Any) -> Any:
        # sacrebleu warns on every call where rows look tokenised, as those of a lower-cased data set do
        return metrics.BLEU(tokenize=self.tokenizer, force=True)


class ChineseBleu(Bleu):
    """BLEU-4 over single Chinese characters (tokenizer zh), for text without spaces."""

    name = "bleu_zh"
    tokenizer = "zh"


class Chrf(CorpusScore):
    """chrF2: F-score of character n-grams, n = 1..6, which needs no word segmentation.

    Source: Popovic, chrF: character n-gram F-score for automatic MT evaluation, 2015 (https://aclanthology.org/W15-3049).
    """

    name = "chrf"

    def _create(self, metrics: Any) -> Any:
        return metrics.CHRF()
