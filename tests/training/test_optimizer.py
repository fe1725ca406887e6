"""Learning rates by hand, and which parameters decay."""

from __future__ import annotations

import math

import pytest
from torch import nn

from seqzoo.configuration.experiment import compose
from seqzoo.training.optimizer import Schedule, build_optimizer
from seqzoo.training.settings import Training


def settings(*overrides: str) -> Training:
    return compose("training.learning_rate=0.1", *overrides).training


def test_warm_up_then_cosine() -> None:
    schedule = Schedule(settings("training.warmup_steps=4", "training.schedule=cosine", "training.final_rate=0.1"), 14)
    assert [schedule.rate(step) for step in range(4)] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert schedule.rate(4) == pytest.approx(0.1)
    assert schedule.rate(9) == pytest.approx(0.1 * (0.1 + 0.9 * 0.5))
    assert schedule.rate(6) == pytest.approx(0.1 * (0.1 + 0.9 * (1 + math.cos(math.pi * 0.2)) / 2))
    assert schedule.rate(14) == schedule.rate(99) == pytest.approx(0.01)


def test_linear_and_constant() -> None:
    linear = Schedule(settings("training.schedule=linear", "training.warmup_steps=0"), 10)
    assert [linear.rate(step) for step in (0, 5, 10)] == pytest.approx([0.1, 0.05, 0.0])
    constant = Schedule(settings("training.schedule=constant", "training.warmup_steps=0"), 10)
    assert {constant.rate(step) for step in range(20)} == {0.1}


def test_plateau_reduces_the_rate_after_its_patience() -> None:
    schedule = Schedule(
        settings("training.schedule=plateau", "training.plateau_patience=1", "training.warmup_steps=0"), 9
    )
    rates = []
    for improved in (True, False, False, False, False, True, False):
        schedule.after_validation(improved)
        rates.append(schedule.rate(5))
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "adagrad"])
def test_biases_and_norms_do_not_decay(name: str) -> None:
    model = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 5), nn.LayerNorm(5))
    optimizer = build_optimizer(model, settings(f"training.optimizer={name}", "training.weight_decay=0.3"))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(model[0].weight), id(model[1].weight)}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3, 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("name", "option", "found", "expected"),
    [
        ("adamw", "betas=[0.8,0.99]", "betas", (0.8, 0.99)),
        ("adam", "betas=[0.8,0.99]", "betas", (0.8, 0.99)),
        ("sgd", "momentum=0.7", "momentum", 0.7),
        ("rmsprop", "momentum=0.7", "momentum", 0.7),
        ("adagrad", "learning_rate=0.3", "lr", 0.3),
    ],
)
def test_options_reach_the_optimizer(name: str, option: str, found: str, expected: object) -> None:
    optimizer = build_optimizer(nn.Linear(2, 2), settings(f"training.optimizer={name}", f"training.{option}"))
    assert {group[found] for group in optimizer.param_groups} == {expected}
