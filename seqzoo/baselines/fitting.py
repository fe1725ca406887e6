"""Fit the baselines of a data set and score them on its held-out splits."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seqzoo.baselines.contract import Baseline, Split
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.parts import Task
from seqzoo.network.restoring import evaluating

MODULES = {"scikit-learn": "sklearn", "sklearn-crfsuite": "sklearn_crfsuite"}
"""The module of each optional package."""


@dataclass(frozen=True)
class BaselineScores:
    """A baseline that was fitted and scored.

    Attributes:
        name: of the baseline.
        description: what was chosen on the validation split.
        seconds: for fitting and answering.
        scores: of each held-out split, by the names of the task's metrics.
    """

    name: str
    description: str
    seconds: float
    scores: dict[str, dict[str, float]]

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)


def is_installed(baseline: type[Baseline]) -> bool:
    return baseline.package is None or importlib.util.find_spec(MODULES[baseline.package]) is not None


def fit_baselines(data: DataModule, task: Task, classes: Sequence[type[Baseline]]) -> Iterator[BaselineScores]:
    """Fit each baseline to the training split, and score it on the held-out ones.

    Args:
        data: the data module, loaded; it is read, and not changed.
        task: whose metrics score the answers; its weights are not used.
        classes: of the baselines, as of `baselines_for`.
    """
    splits = {name: Split(data, task, name) for name in data.splits()}
    for baseline_class in classes:
        began = time.perf_counter()
        baseline = baseline_class()
        with evaluating(task):  # losses as of an evaluation, without label smoothing and the like
            baseline.fit(splits["train"], splits["validation"])
            scores = {name: split.scores(baseline.answer(split)) for name, split in splits.items() if name != "train"}
        yield BaselineScores(baseline_class.name, baseline.description, round(time.perf_counter() - began, 2), scores)
