"""Penalties and the constraint on hidden-to-hidden matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import seqzoo
from seqzoo.configuration.experiment import compose
from seqzoo.training.recurrent_weights import RecurrentWeights, recurrent_matrices
from tests.conftest import Done

OPTIONS = ("task=tagging", "debug=tiny", "cell=gru", "backbone.hidden_size=5", "backbone.num_layers=2")


def created(**settings: Any) -> tuple[seqzoo.Model, RecurrentWeights]:
    model, _ = seqzoo.build(*OPTIONS)
    return model, RecurrentWeights(model, replace(compose(*OPTIONS).training, **settings))


def test_penalties_are_those_of_hidden_to_hidden_weights() -> None:
    model, weights = created(recurrent_l1=0.5, recurrent_l2=0.25)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    weights.penalise()
    for name, weight in model.named_parameters():
        expected = 0.5 * weight.sign() + 0.25 * weight if name.endswith("weight_hh") else 0 * weight
        torch.testing.assert_close(weight.grad, expected.detach())


def test_singular_values_stay_below_the_limit() -> None:
    model, weights = created(recurrent_norm=0.9)
    matrices = recurrent_matrices(model)
    with torch.no_grad():
        matrices[0].mul_(0.5)
    small = matrices[0].clone()
    weights.constrain()
    assert torch.equal(matrices[0], small)  # an orthogonal matrix has singular values of 1
    for matrix in matrices[1:]:
        torch.testing.assert_close(torch.linalg.svdvals(matrix), torch.full((5,), 0.9))


def test_updates_penalise_and_constrain(command: Callable[..., Done]) -> None:
    limits = ("training.recurrent_norm=0.5", "training.recurrent_l2=0.1", "training.steps=2", "baseline=false")
    done = command("train", *OPTIONS, *limits, "hydra.run.dir=run")
    assert done.status == 0, done.err
    model = seqzoo.load("run").model
    assert max(float(torch.linalg.svdvals(matrix).max()) for matrix in recurrent_matrices(model)) <= 0.5 + 1e-5


@pytest.mark.parametrize("option", ["recurrent_l1=0.1", "recurrent_norm=1.0"])
def test_check_says_which_cells_have_no_such_matrix(command: Callable[..., Done], option: str) -> None:
    refused = command("check", *OPTIONS[:2], "cell=lru", f"training.{option}")
    assert refused.status == 2
    assert f"training.{option} acts on hidden-to-hidden matrices, which cell=lru does not have" in refused.err
    assert command("check", *OPTIONS[:2], f"training.{option}").status == 0
    assert "training.recurrent_norm is 0.0" in command("check", *OPTIONS[:2], "training.recurrent_norm=0.0").err
