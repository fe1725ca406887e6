"""What every name in conf/encoder must do. There is no list of exceptions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqzoo.configuration.building import build_model
from seqzoo.configuration.cost import cost_of
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import Batch, Spelling
from seqzoo.contracts.spec import DataSpec
from seqzoo.network import encoders
from seqzoo.network.model import Model
from seqzoo.training.record.checkpoint import load_weights, save_weights

B, T, IDS, TAGS, CHARACTERS = 3, 8, 7, 3, 5
LENGTHS = torch.tensor([8, 5, 1])


@pytest.fixture(params=names("encoder"))
def model(request: pytest.FixtureRequest) -> Model:
    return build(request.param)


def build(name: str, **options: object) -> Model:
    config = compose("task=tagging", f"encoder={name}", "backbone.hidden_size=6")
    config = replace(config, encoder={**config.encoder, **options})
    kind = getattr(encoders, config.encoder["class"])
    if issubclass(kind, encoders.PictureEncoder):
        return build_model(config, DataSpec("tagging", 3, TAGS, picture=[3, 40, 9]))
    if issubclass(kind, encoders.SoundFeatures):
        shorter = len(config.encoder["channels"]) > 0
        labels = DataSpec("classification" if shorter else "tagging", 80, TAGS, rate=8_000)
        task = compose("task=classification").task if shorter else config.task
        return build_model(replace(config, task=task), labels)
    characters = CHARACTERS if kind.reads_characters else 0
    return build_model(config, DataSpec("tagging", IDS, TAGS, character_size=characters))


def numbers(model: Model) -> bool:
    return isinstance(model.encoder, encoders.FeatureEncoder | encoders.SoundFeatures)


def some_batch(model: Model) -> Batch:
    size = model.task.spec.input_size
    inputs = torch.randn(B, T, size) if numbers(model) else torch.arange(B * T).view(B, T) % IDS
    if model.task.spec.picture is not None:
        inputs = torch.rand(B, T, *model.task.spec.picture)
    batch = Batch(inputs, LENGTHS, torch.randint(TAGS, (B, T)))
    if model.task.spec.kind == "classification":
        batch.targets = torch.arange(B) % TAGS
    if model.task.spec.character_size:
        forms = torch.tensor([[1, 2, 3], [4, 0, 0], [2, 2, 0]])
        batch.spelling = Spelling(forms, torch.arange(B * T).view(B, T) % 3)
    return batch


def encoded(model: Model, batch: Batch) -> torch.Tensor:
    return model.encoder.encode(batch)


def test_a_vector_depends_on_the_steps_of_its_context(model: Model) -> None:
    batch = some_batch(model)
    found = encoded(model.eval(), batch)
    lengths = model.encoder.output_lengths(LENGTHS)
    assert found.shape == (B, lengths.max(), model.encoder.output_size)
    assert (model.encoder.stride == 1) == bool((lengths == LENGTHS).all())
    torch.testing.assert_close(encoded(model, batch.first(1)), found[:1])
    if model.encoder.context != (0, 0):
        return
    other = replace(batch, inputs=batch.inputs.flip(1))
    if batch.spelling is not None:
        other.spelling = batch.spelling._replace(tokens=batch.spelling.tokens.flip(1))
    torch.testing.assert_close(encoded(model, other), found.flip(1))


def test_every_parameter_learns(model: Model) -> None:
    batch = some_batch(model)
    model.task.loss(model(batch)[0], batch).total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_saved_weights_give_the_same_vectors(request: pytest.FixtureRequest, model: Model, tmp_path: Path) -> None:
    batch = some_batch(model)
    save_weights(tmp_path / "weights", model, {})
    copy = build(request.node.callspec.params["model"])
    load_weights(tmp_path / "weights", copy)
    assert torch.equal(encoded(copy.eval(), batch), encoded(model.eval(), batch))


def test_dropout_acts_in_training_alone(request: pytest.FixtureRequest, model: Model) -> None:
    model, batch = build(request.node.callspec.params["model"], dropout=0.5), some_batch(model)
    assert not torch.equal(encoded(model, batch), encoded(model, batch))
    model.eval()
    assert torch.equal(encoded(model, batch), encoded(model, batch))


def test_its_cost_is_counted_without_data(request: pytest.FixtureRequest, model: Model) -> None:
    with torch.device("meta"):
        outline = build(request.node.callspec.params["model"])
    cost = cost_of(outline, B, T, numbers(model))
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.flops_per_token > 0
