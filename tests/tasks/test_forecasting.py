"""Forecasting in a closed loop."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import seqzoo
from seqzoo.contracts.batch import Batch, Prediction
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import Channels, DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.metrics import create_metric
from seqzoo.network.network_ensemble import Ensemble
from seqzoo.runs import lifecycle as runs
from seqzoo.tasks.forecasting import Forecasting
from seqzoo.training.evaluation import fit_beforehand
from tests.conftest import Done

SMALL = ("task=forecasting", "data.train_size=4", "data.validation_size=2", "data.test_size=2", "data.steps=20")


def model_of(horizon: int, *more: str) -> tuple[seqzoo.Model, Batch]:
    model, data = seqzoo.build(*SMALL, f"task.horizon={horizon}", "backbone.hidden_size=6", *more)
    return model.eval(), next(data.batches("validation"))


@pytest.mark.parametrize("steps", [0, 5, 30])
def test_a_forecast_feeds_back_its_own_outputs(steps: int) -> None:
    model, batch = model_of(4, f"task.linear_window={steps}")
    if steps:
        nn.init.normal_(model.task.linear.weight, std=0.2)
    read = batch.inputs[:, :17].clone()
    for _ in range(4):
        last = model.scores(Batch(read, torch.full((2,), read.shape[1]), padded=False))[:, -1:]
        read = torch.cat([read, last], 1)
    torch.testing.assert_close(model.task.forecasts(model, batch)[0], read[:, 17:])


def test_the_known_values_of_the_horizon_are_not_read() -> None:
    model, batch = model_of(4)
    expected = model.task.forecasts(model, batch)
    batch.inputs[:, 17:] = 99
    torch.testing.assert_close(model.task.forecasts(model, batch), expected)


def test_rows_of_different_length() -> None:
    model, batch = model_of(4)
    expected = model.task.forecasts(model, Batch(batch.inputs[1:, :12], torch.tensor([12]), batch.targets[1:, :12]))
    batch = Batch(batch.inputs, torch.tensor([20, 12]), batch.targets)
    torch.testing.assert_close(model.task.forecasts(model, batch)[:, 1:], expected)
    references = model.task.references(batch)
    assert [float(text) for text in references[1]] == pytest.approx(batch.targets[1, 8:12, 0].tolist(), rel=1e-6)


def test_the_network_learns_what_the_linear_model_leaves() -> None:
    model, batch = model_of(4, "task.linear_window=3")
    nn.init.normal_(model.task.linear.weight, std=0.2)
    model.train()
    loss, _ = model.loss(batch, None)
    rest = batch.targets - model.task.linear(batch.inputs)
    outputs = model.encode(batch).outputs
    torch.testing.assert_close(loss.total, (model.task.head(outputs) - rest).square().sum())
    torch.testing.assert_close(model.task.readout_rows(model.encode(batch), batch)[1], rest.flatten(0, 1))


def test_the_linear_model_is_fitted_to_forecasts_of_the_validation_split() -> None:
    model, data = seqzoo.build(*SMALL, "task.horizon=4", "task.linear_window=6", "data.train_size=8")
    task, held_out = model.eval().task, next(data.batches("validation"))

    @torch.no_grad()
    def error() -> float:
        return task._squared_errors(task.forecasts(model, held_out)[0], held_out)

    task.share.fill_(0)
    persistence = error()
    fit_beforehand(model, data)
    assert error() < 0.5 * persistence
    torch.testing.assert_close(task._linear_forecast(held_out), task.forecasts(model, held_out)[0])


def test_a_linear_model_is_persistence_at_first() -> None:
    model, batch = model_of(4, "task.linear_window=3")
    model.task.share.fill_(0)
    torch.testing.assert_close(model.scores(batch), batch.inputs)


def test_the_share_of_a_network_that_knows_nothing_is_zero() -> None:
    model, batch = model_of(4, "task.linear_window=3")
    nn.init.constant_(model.task.head.bias, 9.0)
    assert model.task.calibrate(model, [(batch, model.encode(batch))])
    assert model.task.share == 0
    model.task.head = Rest(model, batch)
    assert model.task.calibrate(model, [(batch, model.encode(batch))])
    assert model.task.share == 1


class Rest(nn.Module):
    """What persistence leaves, as an output layer: the change of a series at each step of a forecast."""

    def __init__(self, model: seqzoo.Model, batch: Batch):
        super().__init__()
        self.values = iter(model.task._forecast_steps(batch.targets - batch.inputs, batch).unbind(1) * 5)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return next(self.values)


def test_a_run_fits_its_linear_model(tmp_path: Path) -> None:
    options = ("debug=tiny", "task.horizon=4", "task.linear_window=6", "data.train_size=8")
    runs.start(seqzoo.compose(*SMALL, *options), tmp_path)
    weight = seqzoo.load(tmp_path).model.task.linear.weight.flatten()
    assert weight.tolist() != [0, 0, 0, 0, 0, 1], "persistence, before it is fitted"


def test_padding_has_no_influence_on_a_linear_model() -> None:
    model, batch = model_of(4, "task.linear_window=3")
    batch = Batch(batch.inputs.clone(), torch.tensor([20, 12]), batch.targets.clone())
    model.task.fit_beforehand([batch], [batch])
    expected = model.task.linear.weight.clone(), model.scores(batch)[1, :12]
    batch.inputs[1, 12:] = batch.targets[1, 12:] = torch.nan
    nn.init.zeros_(model.task.linear.weight)
    model.task.fit_beforehand([batch], [batch])
    torch.testing.assert_close((model.task.linear.weight, model.scores(batch)[1, :12]), expected)


def test_without_targets_a_forecast_begins_after_the_row() -> None:
    model, batch = model_of(3)
    expected = model.task.forecasts(model, batch)
    history = Batch(batch.inputs[:, :18], torch.tensor([18, 18]))
    torch.testing.assert_close(model.task.forecasts(model, history), expected)
    assert [len(prediction.answer) for prediction in model.task.decode(model, history)] == [3, 3]


class Sum(nn.Module):
    """The sum of the inputs of a step, as an output layer that can be computed by hand."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.sum(-1, keepdim=True)


def test_further_inputs_are_those_of_the_step() -> None:
    """A network without memory: y(t + 1) = y(t) + u(t)."""
    config = seqzoo.compose(
        "task=forecasting", "data=narma10", "task.horizon=3", "backbone=pointwise", "backbone.hidden_size=2"
    )
    from seqzoo.configuration.building import build_model

    model = build_model(config, DataSpec("regression", 2, 1, per_step=True, next_values=True)).eval()
    model.backbone.forward = lambda x, steps=None, state=None: (x, ())
    model.backbone.step = lambda x, state: (x, state)
    model.task.head = Sum()
    inputs = torch.tensor([[[1.0, 10], [2.0, 20], [3.0, 30], [4.0, 40]]])
    batch = Batch(inputs, torch.tensor([4]), torch.zeros(1, 4, 1))
    assert model.task.forecasts(model, batch).flatten().tolist() == [22, 52, 92]
    alone = Batch(inputs[:, :2], torch.tensor([2]))
    with pytest.raises(DataError, match=r"needs them for 2 steps ahead, where a series has 0: .* task\.horizon=1"):
        model.task.forecasts(model, alone)
    ahead = inputs[:, 2:].clone()
    ahead[..., 0] = 99
    assert model.task.forecasts(model, replace(alone, ahead=ahead)).flatten().tolist() == [22, 52, 92]
    with pytest.raises(DataError, match="2 steps ahead, where a series has 1"):
        model.task.forecasts(model, replace(alone, ahead=ahead[:, :1]))


def test_steps_of_which_only_further_inputs_are_known_are_forecast() -> None:
    channels = Channels(["load", "holiday"], [100.0, 0.0], [10.0, 1.0], [1.0, 1.0])
    spec = DataSpec("regression", 2, 1, per_step=True, channels=channels, next_values=True)
    batch = encode_inputs(spec, ["110 0, ? 1, 120 0, ? 1, ? 0", "90 1"])
    assert batch.lengths.tolist() == [3, 1]
    assert batch.inputs[0].tolist() == [[1, 0], [1, 1], [2, 0]], "a value that is missing before others is not forecast"
    assert batch.ahead is not None
    assert batch.ahead[0, :, 1].tolist() == [1, 0]
    assert batch.ahead[1].isnan().all()
    with pytest.raises(DataError, match="line 1: the series has no values to begin a forecast with"):
        encode_inputs(spec, ["? 1, ? 0"])
    shifted = replace(spec, channels=replace(channels, ahead=1))
    batch = encode_inputs(shifted, ["110 0, ? 1, 120 0, ? 1, ? 0"])
    assert batch.inputs[0].tolist() == [[1, 1], [1, 0], [2, 1]], "the holiday is that of the next step"
    assert batch.ahead is not None
    assert batch.ahead[0, 0, 1] == 0
    assert batch.ahead[0, 1, 1].isnan()
    with pytest.raises(DataError, match="line 1: the model reads holiday of each step that it forecasts"):
        encode_inputs(shifted, ["110 0, 120 1"])
    of_all = replace(spec, output_size=2)
    assert encode_inputs(of_all, ["110 0, ? ?"]).lengths.tolist() == [2]


def test_an_ensemble_averages_forecasts() -> None:
    model, batch = model_of(4, "ensemble=2")
    assert isinstance(model, Ensemble)
    parts = [network.task.forecasts(network, batch) for network in (model, *model.other_networks)]
    answers = torch.tensor([[float(text) for text in row.answer] for row in model.task.decode(model, batch)])
    torch.testing.assert_close(answers, torch.cat(parts).mean(0)[..., 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", ["quantiles", "mixture"])
def test_paths_have_bands_and_are_the_same_in_every_evaluation(head: str) -> None:
    model, batch = model_of(4, f"task.head={head}", "task.paths=40")
    paths = model.task.forecasts(model, batch)
    assert paths.shape == (40, 2, 4, 1)
    answers = [prediction.answer for prediction in model.task.decode(model, batch)]
    torch.manual_seed(3)
    assert [prediction.answer for prediction in model.task.decode(model, batch)] == answers
    median, band = re.fullmatch(r"(\S+) \((.*)\)", answers[1][3]).groups()
    quantiles = [float(number) for number in band.split()]
    assert quantiles == sorted(quantiles)
    assert quantiles[4] == float(median)
    expected = paths[:, 1, 3, 0].quantile(torch.tensor([k / 10 for k in range(1, 10)])).tolist()
    assert quantiles == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert len(model.task.show(batch, model.task.decode(model, batch))) == 2


def test_examples_show_known_values_and_the_forecast_in_the_units_of_the_data() -> None:
    channels = Channels(["load"], [100.0], [10.0], [1.0])
    spec = DataSpec("regression", 1, 1, per_step=True, channels=channels, next_values=True)
    task = Forecasting(1, spec, ["mse"], horizon=2)
    inputs, targets = (torch.arange(start, start + 11.0).reshape(1, 11, 1) for start in (0, 1))
    batch, predictions = Batch(inputs, torch.tensor([11]), targets), [Prediction(["195.25", "207.125 (1 2 3)"], 0.0)]
    known = "... 120, 130, 140, 150, 160, 170, 180, 190 -> 195.2, 207.1"
    assert task.show(batch, predictions) == [f"{known}   (target: 200, 210)"]
    assert task.show(Batch(inputs[:, :10], torch.tensor([10])), predictions) == [known]


def test_distributions_are_learned_and_missing_targets_are_not() -> None:
    for head in ("quantiles", "mixture"):
        task = Forecasting(2, DataSpec("regression", 1, 1, per_step=True, next_values=True), ["crps"], head=head)
        targets = torch.tensor([[[1.0], [math.nan], [3.0]]])
        batch = Batch(targets, torch.tensor([3]), targets, padded=False)
        scores = task.head(torch.zeros(1, 3, 2))
        total, count = task.loss(scores, batch)
        first, last = (
            task.loss(scores[:, i : i + 1], Batch(targets[:, i : i + 1], torch.tensor([1]), targets[:, i : i + 1]))
            for i in (0, 2)
        )
        assert count == 2
        torch.testing.assert_close(total, first.total + last.total)
        total.backward()
        assert all(weight.grad.isfinite().all() for weight in task.parameters())


def test_missing_targets_are_not_learned() -> None:
    task = Forecasting(2, DataSpec("regression", 1, 1, per_step=True, next_values=True), ["nrmse"])
    targets = torch.tensor([[[1.0], [math.nan], [3.0]]])
    total, count = task.loss(torch.zeros(1, 3, 1), Batch(targets, torch.tensor([3]), targets, padded=False))
    assert (total, count) == (10, 2)
    for linear_window in (0, 2):
        task = Forecasting(2, task.spec, ["nrmse"], linear_window=linear_window)
        scores = torch.zeros(1, 3, 1, requires_grad=True)
        task.loss(scores, Batch(torch.ones(1, 3, 1), torch.tensor([3]), targets, padded=False)).total.backward()
        assert scores.grad.flatten().tolist() == [-2, 0, -6]


def test_wrong_options_and_data() -> None:
    spec = DataSpec("regression", 1, 1, per_step=True, next_values=True)
    with pytest.raises(ValueError, match="horizon is 0: it must be at least 1"):
        Forecasting(2, spec, ["nrmse"], horizon=0)
    with pytest.raises(ValueError, match="linear_window is 100000: it must be from 0 to 1,000"):
        Forecasting(2, spec, ["nrmse"], linear_window=100_000)
    with pytest.raises(ValueError, match="whose targets are the next values of the first inputs"):
        Forecasting(2, DataSpec("regression", 1, 1, per_step=True), ["nrmse"])
    with pytest.raises(ValueError, match="washout is 3: it must be at least 0, and 0 for one answer"):
        seqzoo.tasks.regression.Regression(2, DataSpec("regression", 1, 1), ["mse"], washout=3)
    model, batch = model_of(21)
    with pytest.raises(DataError, match=r"a row has 20 steps, too few to forecast task.horizon=21"):
        model.task.decode(model, batch)


def test_the_84th_step() -> None:
    metric = create_metric("nrmse84")
    for shift in (0.0, 2.0):
        metric.add([str(shift + step) for step in range(100)], [str(2 * shift + step) for step in range(100)])
    assert metric.compute() == pytest.approx(math.sqrt(4 / 2) / 2), "errors 0 and 2, references 83 and 87"
    with pytest.raises(ValueError, match="84th step"):
        metric.add(["1"], ["1"])


def test_an_echo_state_network_continues_mackey_glass(command: Callable[..., Done], tmp_path: Path) -> None:
    trained = command(
        "train", "experiment=mackey_glass", "backbone.hidden_size=100", "cell.connectivity=0.1",
        "learning.penalty=1e-7", "data.train_size=4", "data.validation_size=2", "data.test_size=5",
        "hydra.run.dir=run",
    )  # fmt: skip
    assert trained.status == 0, trained.err
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    assert scores["nrmse84"] < 0.6, "the mean scores 1"
    assert json.loads(command("evaluate", "run").out)["nrmse84"] == pytest.approx(scores["nrmse84"])
    assert len(command("predict", "run", "0.1, 0.2").out.split()) == 84
