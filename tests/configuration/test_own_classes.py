"""Metrics and constraints of one's own: options that name classes of a module that the user allows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.checking import check
from seqzoo.configuration.experiment import compose

MODULE = """
from seqzoo import Metric
from seqzoo.metrics import PredictionMetric
from seqzoo.tasks.decoding import Constraint


class Wrong(PredictionMetric):
    name = "wrong"
    higher_is_better = False

    def __init__(self):
        self.count = 0

    def add(self, answer, reference):
        self.count += answer != reference

    def compute(self):
        return float(self.count)


class Odd(Constraint):
    def __init__(self, batch, spec):
        self.spec = spec

    def __call__(self, log_probabilities, written, rows, end):
        return log_probabilities

    def wanted(self, row):
        return "oddity"


class Plain:
    pass


class Unfinished(Wrong):
    compute = Metric.compute


class Nameless(Wrong):
    name = None


class Namesake(Wrong):
    name = "exact_match"


class Loss(Wrong):
    name = "loss_nats"
"""
ALLOW = "allow_modules=[own_classes]"


@pytest.fixture(autouse=True)
def own_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_classes.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_classes", None)


def test_a_task_is_handed_the_classes() -> None:
    chosen = "task.metrics=[own_classes.Wrong,exact_match]", "task.search.constraints=[own_classes.Odd]"
    config = compose("task=transduction", *chosen, ALLOW)
    assert check(config) == []
    task = build_model(config, build_data(config).expected_spec()).task
    assert [(metric.name, metric.higher_is_better) for metric in task.metrics()] == [
        ("wrong", False), ("exact_match", True),
    ]  # fmt: skip
    assert [constraint.__name__ for constraint in task.search.constraints] == ["Odd"]


def test_nothing_is_imported_that_is_not_allowed() -> None:
    chosen = "task.metrics=[own_classes.Wrong]", "task.search.constraints=[own_classes.Odd]"
    advice = "outside seqzoo: if you trust it, add 'allow_modules=[own_classes]', or for a finished run --allow-module"
    assert check(compose("task=transduction", *chosen)) == [
        f"task.search.constraints is 'own_classes.Odd', {advice} own_classes",
        f"task.metrics is 'own_classes.Wrong', {advice} own_classes",
    ]
    assert "own_classes" not in sys.modules


MISTAKES = {
    "task.metrics=[own_classes.Wrnog]": (
        "task.metrics is 'own_classes.Wrnog': there is no such metric. Did you mean 'Wrong'?"
    ),
    "task.metrics=[own_classes.Plain]": (
        "task.metrics is 'own_classes.Plain', which does not inherit from seqzoo.Metric"
    ),
    "task.search.constraints=[own_classes.Plain]": (
        "task.search.constraints is 'own_classes.Plain', which does not inherit from seqzoo.tasks.decoding.Constraint"
    ),
    "task.metrics=[own_classes.Unfinished]": (
        "task.metrics is 'own_classes.Unfinished', which does not define compute: choose a class that does"
    ),
    "task.metrics=[own_classes.Nameless]": (
        "task.metrics names own_classes.Nameless, which has no name: give the class one, name = ..."
    ),
    "task.metrics=[exact_match,own_classes.Namesake]": (
        "task.metrics has two metrics with the name 'exact_match': rename one"
    ),
    "task.metrics=[exact_match,exact_match]": (
        "task.metrics has two metrics with the name 'exact_match': leave one out"
    ),
    "task.metrics=[own_classes.Loss]": (
        "task.metrics names own_classes.Loss, whose name is 'loss_nats', as that of the mean loss: rename it"
    ),
    "task.search.constraints=[Odd]": "task.search.constraints is 'Odd': name a class of your own, module.Class",
    "task.search.constraints=['[oc.env:HOME]']": (
        "task.search.constraints is '[oc.env:HOME]': name a class of your own, module.Class"
    ),
    "task.search.constraints=[3]": "task.search.constraints is [3]: it must be a list of module.Class",
}


@pytest.mark.parametrize(("override", "told"), MISTAKES.items())
def test_mistakes_are_told(override: str, told: str) -> None:
    assert check(compose("task=transduction", override, ALLOW)) == [told]
