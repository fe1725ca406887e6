"""Metrics: running sums that `compute` turns into one number. Losses and what counts as an answer are in `tasks`.

A metric of the loss divides the summed loss by the number of targets. A metric of the predictions compares answers with
references, both in the form of `seqzoo.contracts.batch.Prediction.answer`; the reference of a text may be a list of
correct texts. Metrics accumulate over batches of any size. Before the first update they are nan, which compares as
neither better nor worse than any number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from seqzoo.contracts.class_index import class_of, modules
from seqzoo.contracts.errors import ConfigError, closest
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.own_parts import construct
from seqzoo.metrics.answers import PredictionMetric, all_of, is_right
from seqzoo.metrics.confusion import BinaryConfusion, Confusion, SpanConfusion, confusion_of
from seqzoo.metrics.translation import CorpusScore

__all__ = [
    "BinaryConfusion", "Confusion", "MetricName", "PredictionMetric", "SpanConfusion", "all_of", "confusion_of",
    "create_metric", "create_metrics", "is_right", "metric_classes", "signatures",
]  # fmt: skip

MetricName = str | type[Metric]
"""A metric in a configuration: the `name` of one of this folder, or a user-defined class, `module.Class` in YAML."""


@functools.cache
def metric_classes() -> dict[str, type[Metric]]:
    """The metrics that the files of this folder define, by their names."""
    classes = [class_of(__name__, name) for name in modules(__name__)]
    return {metric.name: metric for metric in classes if issubclass(metric, Metric) and hasattr(metric, "name")}


def create_metric(name: MetricName) -> Metric:
    """Create a metric by its name, or from a user-defined class.

    Raises:
        ConfigError: there is no metric of this name; the message suggests the closest one.
        PartError: the constructor of a user-defined class needs arguments.
    """
    if not isinstance(name, str):
        return construct(name)
    if name in ("meteor", "spice"):
        raise ConfigError(
            [f"the metric {name} is not available, since it needs Java: choose cider_d, bleu_4 or rouge_l"]
        )
    if name not in metric_classes():
        raise ConfigError([f"there is no metric {name!r}{closest(name, metric_classes())}"])
    return metric_classes()[name]()


def create_metrics(names: Iterable[MetricName]) -> list[Metric]:
    """Create several metrics, in the order of the names; see `create_metric`."""
    return [create_metric(name) for name in names]


def signatures(metrics: Iterable[Metric]) -> dict[str, str]:
    """The sacrebleu signature, which makes a score comparable, of each metric that sacrebleu computes."""
    signature_of = {}
    for metric in metrics:
        if isinstance(metric, CorpusScore):
            metric.add("", "")
            metric.compute()
            signature_of[metric.name] = metric.signature
    return signature_of
