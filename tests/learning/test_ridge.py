"""Ridge regression as a learning rule: the weights that it solves for, and runs of reservoirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import TrainingError
from seqzoo.learning.least_squares import extended, ridge, solution, start
from seqzoo.learning.ridge import RidgeRegression
from seqzoo.learning.rule import Objective
from seqzoo.network.model import Model
from tests.conftest import Done

SMALL = (
    "task=regression", "data=narma10", "cell=echo_state", "learning=ridge", "backbone.hidden_size=30",
    "data.train_size=6", "data.validation_size=2", "data.test_size=2", "data.steps=60",
)  # fmt: skip


def test_ridge_by_hand() -> None:
    """One feature: w = sum(x y) / (sum(x x) + penalty)."""
    x, y = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[3.0], [5.0]]).double()
    assert ridge(x, y, 0.5).item() == pytest.approx(13 / 5.5)
    with pytest.raises(ValueError, match="penalty=0 must be above 0"):
        ridge(x, y, 0)


def test_batch_by_batch_is_all_at_once() -> None:
    x, y = torch.randn(30, 4).double(), torch.randn(30, 2).double()
    expected = torch.linalg.solve(x.T @ x + 0.3 * torch.eye(4).double(), x.T @ y)
    torch.testing.assert_close(ridge(x, y, 0.3), expected)
    triangle = start(4, 2, 0.3)
    for rows in (slice(0, 3), slice(3, 11), slice(11, 30)):
        triangle = extended(triangle, x[rows], y[rows])
    assert triangle.shape == (6, 6)
    torch.testing.assert_close(solution(triangle, 2), expected)


def test_a_badly_conditioned_problem_keeps_its_digits() -> None:
    """The normal equations would lose all of them: the columns differ by 1e-8."""
    x = torch.linspace(-1, 1, 50).double()[:, None]
    x = torch.cat([x, x + 1e-8 * x**2], 1)
    weights = torch.tensor([[3.0], [-2.0]]).double()
    found = solution(extended(start(2, 1, 1e-30), x, x @ weights), 1)
    torch.testing.assert_close(found, weights, rtol=1e-6, atol=0)


def objective(model: Model) -> Objective:
    return Objective(model, nullcontext, lambda loss: loss)


def small(*overrides: str) -> tuple[Model, seqzoo.DataModule]:
    model, data = seqzoo.build(*SMALL, *overrides)
    return model.double(), data


def doubled(batch: Batch) -> Batch:
    return batch.map(lambda part: part.double() if part.is_floating_point() else part)


def test_the_output_layer_is_the_solution_for_all_batches() -> None:
    model, data = small("data.batch_size=2", "task.washout=10")
    reservoir = model.backbone.layers[0].directions[0].weight_hh.clone()
    rule, batches = RidgeRegression(0.01), [doubled(batch) for batch in data.batches("train")]
    for batch in batches:
        loss, _ = rule.gradients(objective(model), batch, None)
    x = torch.cat([model.encode(batch).outputs[:, 10:].flatten(0, 1) for batch in batches])
    y = torch.cat([batch.targets[:, 10:].flatten(0, 1) for batch in batches])
    expected = ridge(torch.cat([x, torch.ones(len(x), 1).double()], 1), y, 0.01)
    torch.testing.assert_close(model.task.head.weight[0], expected[:-1, 0])
    torch.testing.assert_close(model.task.head.bias, expected[-1])
    assert loss.count == 2 * 50
    assert torch.equal(model.backbone.layers[0].directions[0].weight_hh, reservoir)


def test_padding_is_not_fitted() -> None:
    model, data = small()
    batch = doubled(next(data.batches("train")))
    RidgeRegression().gradients(objective(model), batch, None)
    expected = model.task.head.weight.clone()
    wider = torch.cat([batch.inputs, torch.full((batch.size, 5, 1), 7.0).double()], 1)
    targets = torch.cat([batch.targets, torch.full((batch.size, 5, 1), 9.0).double()], 1)
    RidgeRegression().gradients(objective(model), Batch(wider, batch.lengths, targets), None)
    torch.testing.assert_close(model.task.head.weight, expected)


def test_each_network_of_an_ensemble_has_its_own_solution() -> None:
    model, data = small("ensemble=2")
    batch = doubled(next(data.batches("train")))
    rule = RidgeRegression()
    rule.gradients(objective(model), batch, None)
    for network in (model, *model.other_networks):
        alone = Model(network.encoder, network.backbone, network.task)
        expected = alone.task.head.weight.clone()
        RidgeRegression().gradients(objective(alone), batch, None)
        torch.testing.assert_close(alone.task.head.weight, expected)
    assert not torch.equal(model.task.head.weight, model.other_networks[0].task.head.weight)


def test_a_rule_continues_from_its_content() -> None:
    model, data = small("data.batch_size=2")
    batches = [doubled(batch) for batch in data.batches("train")]
    whole, first, second = RidgeRegression(), RidgeRegression(), RidgeRegression()
    for batch in batches:
        whole.gradients(objective(model), batch, None)
    expected = model.task.head.weight.clone()
    first.gradients(objective(model), batches[0], None)
    second.restore(first.content())
    for batch in batches[1:]:
        second.gradients(objective(model), batch, None)
    assert torch.equal(model.task.head.weight, expected)
    with pytest.raises(ValueError, match="not square"):
        second.restore({"triangles": [torch.zeros(2, 3)]})


def test_other_tasks_are_refused(command: Callable[..., Done]) -> None:
    with pytest.raises(ValueError, match="penalty is 0: it must be above 0"):
        RidgeRegression(0)
    refused = command("check", "task=tagging", "learning=ridge")
    assert refused.status == 2
    assert "learning=ridge solves for a linear output layer of numbers, and task=tagging has none" in refused.err
    assert refused.err.endswith(": choose task=forecasting or task=regression\n")


@pytest.mark.parametrize(
    "more", [(), ("backbone=deep", "backbone.hidden_size=[20,20]", "cell.leak=0.5"), ("cell=gru",)]
)
def test_runs(more: tuple[str, ...], command: Callable[..., Done], tmp_path: Path) -> None:
    """One pass over the data, and the commands after it; the task's default of 20 epochs is not repeated."""
    trained = command("train", *SMALL, *more, "hydra.run.dir=run", "training.precision=fp64")
    assert trained.status == 0, trained.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["updates"], metrics["precision"]) == (1, "fp64")
    assert json.loads(command("evaluate", "run").out)["nrmse"] == pytest.approx(metrics["test"]["nrmse"])
    assert len(command("predict", "run", "0.1, 0.2, 0.3").out.split()) == 3
    resumed = command("train", "resume=run")
    assert "run has finished (update 1)" in resumed.err


def test_an_echo_state_network_learns_narma(command: Callable[..., Done], tmp_path: Path) -> None:
    command(
        "train", "experiment=narma10", "backbone.hidden_size=100", "data.train_size=2", "data.validation_size=1",
        "data.test_size=1", "hydra.run.dir=run",
    )  # fmt: skip
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]["nrmse"] < 0.35


def test_a_rule_that_meets_another_head() -> None:
    model, data = seqzoo.build("task=tagging", "debug=tiny")
    with pytest.raises(TrainingError, match="ridge regression fits a linear output layer, which Tagging does not have"):
        RidgeRegression().gradients(objective(model), next(data.batches("train")), None)
