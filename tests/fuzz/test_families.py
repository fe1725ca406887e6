"""A few seconds of each fuzz program, with a fixed seed; `-m slow` runs longer ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from seqzoo.contracts.errors import ConfigError
from tests.fuzz import driver


@pytest.mark.parametrize("family", driver.families())
def test_some_cases(family: str) -> None:
    module = importlib.import_module(f"tests.fuzz.{family}")
    report = driver.run(family, module.attempt, range(module.QUICK), seed=1)
    assert not report.failures, "\n".join(report.failures)
    assert report.outcomes["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("family", driver.families())
def test_many_cases(family: str) -> None:
    module = importlib.import_module(f"tests.fuzz.{family}")
    report = driver.run(family, module.attempt, range(module.QUICK * 20), seed=2)
    assert not report.failures, "\n".join(report.failures)


def _refuse() -> None:
    raise ConfigError(["no"])


def _spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(lambda: None, "accepted"), (_refuse, "refused"), (lambda: [][0], "traceback"), (_spin, "wait")],
)
def test_outcomes(body: Callable[[], object], outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "CPU_SECONDS", 0.2)
    assert driver.try_case(lambda case: body(), driver.Case(Random(0), tmp_path))[0] == outcome
