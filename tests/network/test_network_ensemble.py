"""Networks side by side: their mean probabilities, their own gradients, and what cannot be averaged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.commands import main as cli
from seqzoo.configuration.building import build_data, build_model
from seqzoo.contracts.errors import ConfigError
from seqzoo.network.model import Model
from seqzoo.network.network_ensemble import Ensemble
from seqzoo.training.record.checkpoint import load_weights, save_weights

SENTIMENT = ("task=classification", "backbone.hidden_size=6", "encoder.embedding_size=5", "data.limit=12")
NUMBERS = ("task=regression", "backbone.hidden_size=6", "data.limit=12")


def ensemble(*overrides: str, size: int = 3) -> tuple[Ensemble, seqzoo.Batch]:
    experiment = dataclasses.replace(seqzoo.compose(*overrides), ensemble=size)
    data = build_data(experiment)
    data.load()
    model = build_model(experiment, data.spec)
    assert isinstance(model, Ensemble)
    return model, next(data.batches("validation"))


def networks(model: Ensemble) -> list[Model]:
    return [Model(model.encoder, model.backbone, model.task), *model.other_networks]


def test_probabilities_are_the_means() -> None:
    model, batch = ensemble(*SENTIMENT)
    expected = torch.stack([network.scores(batch).softmax(-1) for network in networks(model)]).mean(0)
    torch.testing.assert_close(model.scores(batch).exp(), expected)
    torch.testing.assert_close(model.scores(batch, model.encode(batch)).exp(), expected)
    scores = [prediction.score for prediction in model.task.decode(model, batch)]
    torch.testing.assert_close(torch.tensor(scores), expected.max(-1).values.log())


def test_numbers_are_the_means() -> None:
    model, batch = ensemble(*NUMBERS)
    expected = torch.stack([network.scores(batch) for network in networks(model)]).mean(0)
    torch.testing.assert_close(model.scores(batch), expected)


def test_each_network_learns_from_its_own_loss() -> None:
    model, batch = ensemble(*SENTIMENT)
    model.loss(batch)[0].total.backward()
    members = networks(model)
    starts = [network.encoder.embedding.weight for network in members]
    assert not torch.equal(starts[0], starts[1])
    found = [weight.grad for weight in starts]
    for network, weight, gradient in zip(members, starts, found, strict=True):
        total, _ = network.task.loss(network(batch)[0], batch)
        torch.testing.assert_close(gradient, torch.autograd.grad(total, weight)[0] / len(members))


def test_weights_are_saved_and_read(tmp_path: Path) -> None:
    model, batch = ensemble(*SENTIMENT)
    other, _ = ensemble(*SENTIMENT)
    save_weights(tmp_path / "weights.safetensors", model, {})
    load_weights(tmp_path / "weights.safetensors", other)
    assert torch.equal(model.eval().scores(batch), other.eval().scores(batch))


@pytest.mark.parametrize("task", ["transduction", "language_modeling"])
def test_what_cannot_be_averaged_is_refused(task: str) -> None:
    with pytest.raises(ConfigError, match=f"ensemble=2 averages probabilities, which task={task} cannot"):
        seqzoo.build(f"task={task}", "ensemble=2", "debug=tiny")


@pytest.mark.parametrize("size", ["0", "101", "1.5", "null"])
def test_a_wrong_number_of_networks_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match=r"ensemble is .*: it must be an integer from 1 to 100"):
        seqzoo.compose(f"ensemble={size}")


def test_an_ensemble_is_trained_resumed_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = seqzoo.train(*SENTIMENT, "debug=tiny", "ensemble=2", "training.epochs=null")
    loaded = seqzoo.load(run.folder)
    assert isinstance(loaded.model, Ensemble)
    assert seqzoo.evaluate(run.folder)["accuracy"] == run.metrics["test"]["accuracy"]
    assert len(loaded.predict(["the food was good"])) == 1


def test_runs_trained_apart_answer_by_the_mean_of_their_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = (*NUMBERS, "debug=tiny", "training.steps=2", "training.epochs=null", "baseline=false")
    seqzoo.train(*options, "hydra.run.dir=a")
    seqzoo.train(*options, "cell=gru", "backbone.hidden_size=5", "hydra.run.dir=b")
    first, second, both = seqzoo.load("a"), seqzoo.load("b"), seqzoo.load("a", beside=["b"])
    batch = next(seqzoo.build(*options)[1].batches("validation"))
    with torch.no_grad():
        means = (first.model.scores(batch) + second.model.scores(batch)) / 2
        torch.testing.assert_close(both.model.scores(batch), means)
    width = first.spec.input_size
    text = ", ".join([" ".join(["0.5"] * width)] * 4)
    capsys.readouterr()
    cli.main(["predict", "a", text, "--with", "b", "--json"])
    assert json.loads(capsys.readouterr().out)["score"] is None
    seqzoo.train(*options, "task.washout=1", "hydra.run.dir=c")
    with pytest.raises(ConfigError, match="a and c cannot answer together: they have different values of"):
        seqzoo.load("a", beside=["c"])
