"""Simple models that a network is compared with, by the kind of data; one idea per file, found by its class.

They fit the training split of a loaded data module and are scored by the metrics of the task. Nothing here trains a
network.
"""

from __future__ import annotations

import functools

from seqzoo.baselines.contract import Baseline
from seqzoo.contracts.class_index import class_of, modules
from seqzoo.contracts.spec import DataSpec

__all__ = ["Baseline", "baselines_for"]


@functools.cache
def _baseline_classes() -> list[type[Baseline]]:
    """The baselines that the files of this folder define, the cheapest first."""
    classes = [class_of(__name__, name) for name in modules(__name__)]
    baselines = [each for each in classes if issubclass(each, Baseline) and hasattr(each, "name")]
    return sorted(baselines, key=lambda baseline: (baseline.package is not None, -baseline.speed, baseline.name))


def baselines_for(spec: DataSpec) -> list[type[Baseline]]:
    """The baselines that read data of this description, the cheapest first."""
    return [baseline for baseline in _baseline_classes() if baseline.reads(spec)]
