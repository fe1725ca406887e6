"""Layers that are frozen or learn more slowly."""

from __future__ import annotations

import pytest
import torch

import seqzoo
from seqzoo.configuration.building import build_model
from seqzoo.network.model import Model
from seqzoo.training.fine_tuning import Unfreezing, depths, learning_rate_factors
from seqzoo.training.optimizer import build_optimizer
from seqzoo.training.session import Session
from seqzoo.training.settings import Training


@pytest.fixture
def model() -> Model:
    experiment = seqzoo.compose("task=tagging", "backbone=deep", "debug=tiny", "backbone.learn_initial_state=true")
    return build_model(experiment, seqzoo.DataSpec("tagging", 10, 3))


def settings(**options: object) -> Training:
    texts = [f"training.{name}={value}" for name, value in options.items()]
    return seqzoo.compose("task=tagging", *texts).training


def test_layers_are_counted_from_the_encoder_to_the_head(model: Model) -> None:
    by_name = depths(model)
    assert by_name["encoder.embedding.weight"] == 0
    assert {by_name[name] for name in by_name if "first_state" in name} == {1}
    assert {by_name[name] for name in by_name if name.startswith("backbone.layers.0.")} == {1}
    assert {by_name[name] for name in by_name if name.startswith("backbone.layers.1.")} == {2}
    assert {by_name[name] for name in by_name if name.startswith("task.")} == {3}


def test_learning_rates_fall_from_the_head_down(model: Model) -> None:
    factors = learning_rate_factors(model, 0.5)
    assert factors["encoder.embedding.weight"] == 0.125
    assert {factors[name] for name in factors if name.startswith("task.")} == {1.0}
    optimizer = build_optimizer(model, settings(layer_decay=0.5))
    factor_of = {id(p): group["factor"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: factor_of[id(p)] for name, p in model.named_parameters()} == factors


def test_the_same_rate_for_all_needs_two_groups(model: Model) -> None:
    groups = build_optimizer(model, settings()).param_groups
    assert [group["factor"] for group in groups] == [1.0, 1.0]
    assert [p.dim() > 1 for group in groups for p in group["params"]] == sorted(
        (p.dim() > 1 for p in model.parameters()), reverse=True
    )


def test_gradual_unfreezing_adds_a_layer_per_epoch(model: Model) -> None:
    by_name, unfreezing = depths(model), Unfreezing(model, settings(freeze="gradual"))
    for epoch, lowest in ((0, 3), (1, 2), (2, 1), (3, 0), (4, 0)):
        unfreezing.begin_epoch(epoch)
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert trained == {name for name, depth in by_name.items() if depth >= lowest}


def test_a_frozen_body_is_not_trained(model: Model) -> None:
    Session(model, settings(freeze="body"), torch.device("cpu"), 1)
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"task"}
