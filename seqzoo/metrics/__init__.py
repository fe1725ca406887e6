"""Metrics: running sums that `compute` turns into one number. Losses and what counts as an answer are in `tasks`.

A metric of the loss divides the summed loss by the number of targets. A metric of the predictions compares answers with
references, both in the form of `seqzoo.contracts.batch.Prediction.answer`; the reference of a text may be a list of
correct texts. Metrics accumulate over batches of any size. Before the first update they are nan, which compares as
neither better nor worse than any number.
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
    """Create a metric by its name.

    Raises:
        ConfigError: there is no metric of this name; the message suggests the closest one.
    """
    if name in ("meteor", "spice"):
        raise ConfigError(
            [f"the metric {name} is not available, since it needs Java: choose cider_d, bleu_4 or rouge_l"]
        )
    if name not in METRICS:
        raise ConfigError([f"There is no metric {name!r}.{closest(name, METRICS)}"])
    return METRICS[name]()


def create_metrics(names: Iterable[str]) -> list[Metric]:
    """Create several metrics, in the order of the names; see `create_metric`."""
    return [create_metric(name) for name in names]


def signatures(names: Iterable[str]) -> dict[str, str]:
    """The sacrebleu signature, which makes a score comparable, of each metric that sacrebleu computes."""
    signature_of = {}
    for metric in create_metrics(names):
        if isinstance(metric, CorpusScore):
            metric.add("", "")
            metric.compute()
            signature_of[metric.name] = metric.signature
    return signature_of
