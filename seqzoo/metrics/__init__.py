"""Running sums that become one number.

Metrics of the loss divide a sum by a count; metrics of the predictions compare answers with references, both in the
form of `seqzoo.contracts.batch.Prediction.answer`; where an answer is a text, a reference may be a list of right ones.
Two halves of a data set add up to the whole. Where nothing has been counted the number is nan, which is neither better
nor worse than any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seqzoo.contracts.errors import ConfigError, closest
from seqzoo.contracts.parts import Metric
from seqzoo.metrics.answers import all_of, is_right
from seqzoo.metrics.captioning import CaptionBleu1, CaptionBleu2, CaptionBleu3, CaptionBleu4, CiderD, RougeL
from seqzoo.metrics.confusion import BinaryConfusion, Confusion, SpanConfusion, confusion_of
from seqzoo.metrics.labels import Accuracy, MacroF1
from seqzoo.metrics.losses import BitsPerCharacter, LossNats, MeanLoss, MeanSquaredError, Perplexity
from seqzoo.metrics.numeric_errors import MeanAbsoluteError, NormalizedError
from seqzoo.metrics.span_f1 import SpanF1
from seqzoo.metrics.translation import Bleu, ChineseBleu, Chrf, CorpusScore
from seqzoo.metrics.whole_answers import ExactMatch, Repeats, RightLength

__all__ = [
    "METRICS", "BinaryConfusion", "Confusion", "SpanConfusion", "all_of", "confusion_of", "create_metric",
    "create_metrics", "is_right", "signatures",
]  # fmt: skip

METRICS: dict[str, Callable[[], Metric]] = {
    metric.name: metric
    for metric in (
        MeanLoss,
        LossNats,
        Perplexity,
        BitsPerCharacter,
        Accuracy,
        ExactMatch,
        RightLength,
        Repeats,
        MacroF1,
        SpanF1,
        MeanSquaredError,
        MeanAbsoluteError,
        NormalizedError,
        Bleu,
        ChineseBleu,
        Chrf,
        CaptionBleu1,
        CaptionBleu2,
        CaptionBleu3,
        CaptionBleu4,
        RougeL,
        CiderD,
    )
}


def create_metric(name: str) -> Metric:
    """A fresh counter. Raises ConfigError with the closest right name."""
    if name in ("meteor", "spice"):
        raise ConfigError([f"{name} needs Java, and is not here: choose cider_d, bleu_4 or rouge_l"])
    if name not in METRICS:
        raise ConfigError([f"There is no metric {name!r}.{closest(name, METRICS)}"])
    return METRICS[name]()


def create_metrics(names: Iterable[str]) -> list[Metric]:
    """Fresh counters in the order of their names. Raises ConfigError as `create_metric` does."""
    return [create_metric(name) for name in names]


def signatures(names: Iterable[str]) -> dict[str, str]:
    """How sacrebleu makes its scores, for those of the names that are its own: without it a score means little."""
    found = {}
    for metric in create_metrics(names):
        if isinstance(metric, CorpusScore):
            metric.add("", "")
            metric.compute()
            found[metric.name] = metric.signature
    return found
