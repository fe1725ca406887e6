"""Budgets: the search for the nearest width, on functions and on models whose sizes are counted by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.configuration import composing
from seqzoo.configuration.budget import Budget, as_number, nearest
from seqzoo.configuration.building import build_data
from seqzoo.configuration.checking import check
from seqzoo.configuration.experiment import compose, parse
from seqzoo.configuration.overrides import examine
from seqzoo.configuration.registry import names
from seqzoo.configuration.sizing import measure, within_budget
from seqzoo.contracts.errors import ConfigError

SMALL = ("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8")


@pytest.mark.parametrize("text", ["200k", "200K", "0.2M", "2e5", 200_000, 2e5, "200000"])
def test_one_number_in_several_forms(text: str | float) -> None:
    assert as_number(text) == pytest.approx(200_000)


@pytest.mark.parametrize("target", [1, 5, 17, 1000, 12345, 10**9])
@pytest.mark.parametrize("step", [1, 4, 7])
def test_the_nearest_width_is_found(target: int, step: int) -> None:
    def square(width: int) -> float:
        if width % step:
            raise ConfigError([f"{step} must divide {width}"])
        return width**2 + 3

    found = nearest(square, target)
    widths = range(step, 40_000, step)
    assert found.measured == square(found.width)
    assert abs(found.measured - target) == min(abs(square(width) - target) for width in widths)


def test_a_model_that_has_no_width_says_why() -> None:
    def refuse(width: int) -> float:
        raise ConfigError(["there is no such model"])

    with pytest.raises(ConfigError, match="there is no such model"):
        nearest(refuse, 10)


def test_parameters_come_within_the_budget_and_are_those_of_the_model() -> None:
    """An LSTM of width H has 4 H (I + H + 2) parameters; here I is 64."""
    model, data = seqzoo.build("task=tagging", "budget.parameters=100k", *SMALL)
    inputs, tags = data.spec.input_size, data.spec.output_size
    sizes = {H: inputs * 64 + 4 * H * (64 + H + 2) + tags * (H + 1) for H in range(1, 300)}
    best = min(sizes, key=lambda width: abs(sizes[width] - 100_000))
    assert model.backbone.output_size == best
    assert sum(parameter.numel() for parameter in model.parameters()) == sizes[best]


@pytest.mark.parametrize("cell", names("cell"))
def test_every_cell_meets_a_budget(cell: str) -> None:
    config = compose("task=tagging", "budget.parameters=30k", "budget.tolerance=0.05")
    # composing once a cell would take most of the time
    config = replace(config, cell=composing.load("cell", cell), choices={**config.choices, "cell": cell})
    data = build_data(config)
    fitted = within_budget(config, data, data.expected_spec())
    cost = measure(fitted, data, data.expected_spec())
    assert cost.weights == pytest.approx(30_000, rel=0.05)
    assert cost.parameters <= cost.weights


def test_heads_divide_the_width() -> None:
    config = compose("task=tagging", "cell=m_lstm", "cell.heads=8", "budget.parameters=1M")
    data = build_data(config)
    fitted = within_budget(config, data, data.expected_spec())
    assert fitted.backbone["hidden_size"] % 8 == 0
    assert measure(fitted, data, data.expected_spec()).weights == pytest.approx(1e6, rel=0.01)


def test_widths_that_follow_the_backbone_are_set_too() -> None:
    config = compose("task=transduction", "budget.parameters=500k")
    data = build_data(config)
    fitted = within_budget(config, data, data.expected_spec())
    assert fitted.task["decoder"]["backbone"]["hidden_size"] == fitted.backbone["hidden_size"] != 192
    assert measure(fitted, data, data.expected_spec()).weights == pytest.approx(5e5, rel=0.01)
    own = compose("task=transduction", "budget.parameters=500k", "task.decoder.backbone.num_layers=2")
    assert within_budget(own, data, data.expected_spec()).task["decoder"]["backbone"]["num_layers"] == 2


def test_operations_of_an_lstm_by_hand() -> None:
    """Two per matrix weight that a token is multiplied with: 8 H (I + H) in the cell and 2 H K in the head."""
    config = compose("task=tagging", "backbone.hidden_size=50")
    data = build_data(config)
    spec = data.expected_spec()
    cost = measure(config, data, spec)
    assert cost.flops_per_token == 8 * 50 * (64 + 50) + 2 * 50 * spec.output_size
    assert cost.state_bytes == 4 * 2 * 50
    budget = compose("task=tagging", "budget.flops=200k")
    fitted = within_budget(budget, data, spec)
    assert measure(fitted, data, spec).flops_per_token == pytest.approx(200_000, rel=0.01)


@pytest.mark.parametrize(
    ("head", "vectors"), [("", 0), ("task.softmax_cutoffs=[20,30]", 2)], ids=["softmax", "adaptive softmax"]
)
def test_operations_of_a_head_that_works_in_the_loss_are_counted(head: str, vectors: int) -> None:
    """8 H (I + H) in the cell, and 2 H in the head for each token's or cluster's vector."""
    config = compose("task=language_modeling", "backbone.hidden_size=50", *filter(None, [head]))
    data = build_data(config)
    spec = data.expected_spec()
    width = config.encoder["embedding_size"]
    expected = 8 * 50 * (width + 50) + 2 * 50 * (spec.output_size + vectors)
    assert measure(config, data, spec).flops_per_token == expected


def test_weights_take_their_memory_once_whatever_the_batch() -> None:
    """Compared with weights, gradients and two moments, a small batch of a wide model needs little memory."""
    config = compose("task=tagging", "backbone.hidden_size=2000", "data.batch_size=1")
    data = build_data(config)
    cost = measure(config, data, data.expected_spec())
    assert 16 * cost.parameters < cost.training_bytes < 17 * cost.parameters


@pytest.mark.parametrize("off", [-0.002, 0.002])
def test_a_width_may_be_off_by_the_tolerance_in_both_directions(off: float) -> None:
    config = compose("task=tagging", "backbone.hidden_size=40")
    data = build_data(config)
    spec = data.expected_spec()
    target = measure(config, data, spec).weights / (1 + off)
    budget = [f"budget.parameters={target}", "task=tagging"]
    fitted = within_budget(compose(*budget, "budget.tolerance=0.003"), data, spec)
    assert fitted.backbone["hidden_size"] == 40
    with pytest.raises(ConfigError, match=re.escape(f"({off:+.1%}, with backbone.hidden_size=40)")):
        within_budget(compose(*budget, "budget.tolerance=0.001"), data, spec)


MISTAKES = {
    "budget.parameters=many": "budget.parameters is 'many': it must be a number above 0, such as 200k, 1M or 5e5",
    "budget.parameters=0": "budget.parameters is 0: it must be a number above 0, such as 200k, 1M or 5e5",
    "budget.flops=[1]": "budget.flops is [1]: it must be an integer or a finite number or text or null",
    "budget.parameters=1M budget.flops=1M": (
        "budget.parameters and budget.flops are both given: one of them sets the width"
    ),
    "budget.seconds=0": "budget.seconds is 0: it must be above 0, or null for no limit",
    "budget.tolerance=nan": "budget.tolerance is nan: it must be a finite number",
    "budget.parameter=1M": "there is no option 'budget.parameter'. Did you mean 'budget.parameters'?",
    "budget.parameters=1M backbone.hidden_size=9": (
        "budget.parameters sets backbone.hidden_size, which is given, too: leave one of them out"
    ),
    "budget.parameters=1M experiment=mixed_widths": "there is no experiment named 'mixed_widths'.",
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_mistakes_are_told(overrides: str) -> None:
    [mistake] = examine(*overrides.split())[1]
    assert mistake.startswith(MISTAKES[overrides])


def test_a_list_of_widths_is_not_for_a_budget() -> None:
    config = compose("budget.parameters=1M")
    config = replace(config, backbone={**config.backbone, "hidden_size": [256, 128], "num_layers": 2})
    assert check(config) == [
        "budget.parameters sets backbone.hidden_size, one number for all layers, but it is [256, 128]"
    ]


def test_a_run_of_an_older_version_has_no_budget() -> None:
    config = composing.compose("task=tagging")
    del config["budget"]
    assert parse(config).budget == Budget()


def test_an_impossible_budget_is_refused_before_a_folder_is_created(command: Callable, tmp_path: Path) -> None:
    done = command("train", "task=tagging", "budget.parameters=5000", *SMALL, "hydra.run.dir=run")
    assert done.status == 2
    assert done.err.startswith(
        "seqzoo: budget.parameters is 5,000: the closest that cell=lstm, backbone=unidirectional, task=tagging, "
    )
    assert "backbone.hidden_size=" in done.err
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_a_run_records_what_it_chose_and_what_it_costs(command: Callable, tmp_path: Path) -> None:
    done = command("train", "task=tagging", "cell=gru", "budget.parameters=60k", *SMALL, "hydra.run.dir=run")
    assert done.status == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["parameters"] == pytest.approx(60_000, rel=0.01)
    assert metrics["flops_per_token"] > 60_000
    assert metrics["state_bytes"] == 4 * seqzoo.load(tmp_path / "run").model.backbone.output_size
    assert metrics["training_bytes"] > 16 * metrics["parameters"]
    assert f"{metrics['parameters']:,} of 60,000 weights" in done.out
    assert command("evaluate", "run").status == 0
    assert command("train", "resume=run", "training.steps=10").status == 0


def test_seconds_end_a_training_that_has_no_other_end(command: Callable, tmp_path: Path) -> None:
    """The time is checked after each update, so that one update runs even if it is over."""
    unlimited = ("training.steps=null", "training.epochs=null")
    done = command("train", "task=tagging", *SMALL, *unlimited, "budget.seconds=1e-6", "hydra.run.dir=run")
    assert done.status == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["updates"] == 1
    assert "1e-06 seconds" in done.out
    done = command("train", "resume=run", "training.steps=5")
    assert done.err.startswith(
        "seqzoo: run has finished (update 1): to train longer, give a later end, such as budget.seconds="
    )
    done = command("train", "resume=run", "budget.seconds=1000", "training.steps=5")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["updates"] == 5


def test_the_schedule_follows_the_time_spent() -> None:
    from seqzoo.training.optimizer import Schedule

    config = compose(
        "training.schedule=linear",
        "training.warmup_steps=0",
        "training.learning_rate=0.1",
        "training.epochs=null",
        "budget.seconds=9",
    )
    by_time = Schedule(config.training, None)
    assert [by_time.rate(step, spent) for step, spent in ((0, 0.0), (7, 0.5), (8, 1.0), (9, 1.5))] == pytest.approx(
        [0.1, 0.05, 0.0, 0.0]
    )
    by_both = Schedule(config.training, 10)
    assert by_both.rate(5, 0.2) == pytest.approx(0.05)
    assert by_both.rate(5, 0.8) == pytest.approx(0.02)


def test_counting_leaves_the_random_state_unchanged() -> None:
    config = compose("task=tagging")
    data = build_data(config)
    torch.manual_seed(5)
    measure(config, data, data.expected_spec())
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
