"""The sentence that says what ended a training."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from seqzoo.configuration.experiment import compose
from seqzoo.runs.ending import describe_ending
from seqzoo.training.session import Position, Session


@pytest.mark.parametrize(
    ("settings", "seconds", "position", "ending"),
    [
        (
            {"epochs": 8, "patience": 3},
            None,
            {"epoch": 5, "batch": 10, "step": 60, "best_step": 30, "waited": 3},
            "after 60 updates, 6 epochs: 3 validations without improvement; validation was best after update 30",
        ),
        (
            {"epochs": 8, "patience": 3},
            None,
            {"epoch": 7, "batch": 10, "step": 80, "best_step": 79, "waited": 0},
            (
                "after 80 updates, 8 epochs: training.epochs=8; validation was best after update 79 and "
                "still improving, so training.epochs=16 may help"
            ),
        ),
        (
            {"epochs": None, "steps": 25},
            None,
            {"epoch": 2, "batch": 5, "step": 25, "best_step": 20},
            "after 25 updates, 2.5 epochs: training.steps=25; validation was best after update 20",
        ),
        (
            {"epochs": 9},
            2.0,
            {"epoch": 0, "batch": 4, "step": 4, "best_step": 4, "update_seconds": 2.1},
            (
                "after 4 updates, 0.4 epochs: budget.seconds=2; validation was best after update 4 and "
                "still improving, so budget.seconds=4 may help"
            ),
        ),
        (
            {"epochs": 2, "keep": "last"},
            None,
            {"epoch": 1, "batch": 10, "step": 20, "best_step": 20},
            "after 20 updates, 2 epochs: training.epochs=2; the last weights were kept",
        ),
    ],
)
def test_the_ending_names_its_reason(
    settings: dict[str, Any], seconds: float | None, position: dict[str, Any], ending: str
) -> None:
    training = replace(compose("task=tagging").training, **{"patience": None, "steps": None, **settings})
    session = SimpleNamespace(position=Position(**position), settings=training, seconds=seconds)
    assert describe_ending(cast(Session, session), 10) == ending
