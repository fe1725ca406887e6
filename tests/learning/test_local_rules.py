"""Rules that leave out or replace derivatives: eligibility propagation, random feedback, feedback alignment."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.errors import TrainingError
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.e_prop import EligibilityPropagation
from seqzoo.learning.feedback_alignment import FeedbackAlignment
from seqzoo.learning.forward_gradient import ForwardGradient
from seqzoo.learning.influence import Influence
from seqzoo.learning.linear_products import without_recurrence
from seqzoo.learning.network_step import NetworkStep
from tests.contracts.test_learning import collected, objective, small_model, some_batch, true_gradients


def copies(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.dim() == 2}


@pytest.mark.parametrize("cell", ["leaky", "elman", "lstm", "gru", "lif", "alif"])
def test_eligibilities_are_gradients_without_recurrence(cell: str) -> None:
    """The gradient of a network whose recurrent products are constants, at the same values."""
    model, batch = small_model(cell), some_batch()
    with without_recurrence(model.backbone) as products:
        expected = true_gradients(model, [batch], across=False)
    assert products.replaced
    EligibilityPropagation().gradients(objective(model), batch, None)
    torch.testing.assert_close(collected(model), expected, rtol=1e-9, atol=1e-9)
    BackpropagationThroughTime().gradients(objective(model), batch, None)
    assert not torch.allclose(collected(model)["encoder.embedding.weight"], expected["encoder.embedding.weight"])


def test_eligibilities_of_a_leaky_unit_by_hand() -> None:
    """M' = (1 - alpha) M + alpha f'(a) [x, h, 1], as in RFLO, for the recurrent weights of the first unit."""
    model, batch = small_model("leaky"), some_batch(resets=False)
    cell, influence = model.backbone.layers[0].directions[0], Influence(NetworkStep(model), 1, recurrent=False)
    assert influence.size == 4 * (3 + 4 + 2) + 4 * 15  # each weight one unit, each number of an embedding all of them
    assert len(influence.state_seeds) == 1
    alpha = -torch.expm1(-torch.exp(-cell.log_tau))
    vectors, expected, h = model.encoder(batch.inputs[:1]), torch.zeros(4).double(), torch.zeros(1, 4).double()
    for t in range(batch.inputs.shape[1]):
        a = cell.project(vectors[:, t]) + cell.recur(h)
        slope = 1 - a[0, 0].tanh() ** 2
        expected, h = (1 - alpha[0]) * expected + alpha[0] * slope * h[0], (1 - alpha) * h + alpha * a.tanh()
    model.task.forward = lambda features, batch: features.state[0][0][0]
    model.task.loss = lambda scores, batch: Loss(scores[0, 0], torch.ones(()))
    EligibilityPropagation().gradients(objective(model), batch, None)
    torch.testing.assert_close(collected(model)["backbone.layers.0.0.weight_hh"][0], expected)


def test_eligibilities_of_an_adaptive_neuron_by_hand() -> None:
    """Of its potential and its adaptation, as in Bellec et al. 2020, for the recurrent weights of the first neuron."""
    model, batch = small_model("alif"), some_batch(resets=False)
    cell = model.backbone.layers[0].directions[0]
    alpha, rho = math.exp(-1 / cell.tau), math.exp(-1 / cell.tau_adaptation)
    vectors = model.encoder(batch.inputs[:1])
    of_v, of_a, of_z = (torch.zeros(4).double() for _ in range(3))
    state = cell.initial_state(1)
    for t in range(batch.inputs.shape[1]):
        before, adapted = state[0][0], state[2][0, 0]
        _, state = cell(vectors[:, t], state)
        excess = state[1][0, 0] - cell.threshold - cell.adaptation * adapted
        slope = cell.dampening / cell.threshold * (1 - excess.abs() / cell.threshold).clamp(min=0)
        of_v = alpha * of_v + before
        of_z = slope * (of_v - cell.adaptation * of_a)
        of_a = rho * of_a + of_z
    assert of_z.count_nonzero()
    model.task.forward = lambda features, batch: features.state[0][0][0]
    model.task.loss = lambda scores, batch: Loss(scores[0, 0], torch.ones(()))
    EligibilityPropagation().gradients(objective(model), batch, None)
    torch.testing.assert_close(collected(model)["backbone.layers.0.0.weight_hh"][0], of_z)


def test_random_feedback_replaces_the_head() -> None:
    model, batch = small_model("leaky"), some_batch()
    EligibilityPropagation().gradients(objective(model), batch, None)
    symmetric = collected(model)
    rule = EligibilityPropagation(feedback="random")
    rule.gradients(objective(model), batch, None)
    random = collected(model)
    torch.testing.assert_close(random["task.head.weight"], symmetric["task.head.weight"])
    assert not torch.allclose(random["backbone.layers.0.0.weight_ih"], symmetric["backbone.layers.0.0.weight_ih"])
    rule.feedback.matrices = {"head.weight": model.task.head.weight.detach()}
    rule.gradients(objective(model), batch, None)
    torch.testing.assert_close(collected(model), symmetric)


@pytest.mark.parametrize("cell", ["elman", "gru_reset_before", "nary_tree_lstm"])
def test_feedback_alignment_with_the_weights_is_backpropagation(cell: str) -> None:
    model, batch = small_model(cell, num_layers=2), some_batch()
    engines = [layer.directions[0].engine for layer in model.backbone.layers]
    BackpropagationThroughTime().gradients(objective(model), batch, None)
    expected = collected(model)
    rule = FeedbackAlignment()
    loss, _ = rule.gradients(objective(model), batch, None)
    aligned = collected(model)
    assert loss.total == model.loss(batch)[0].total
    torch.testing.assert_close(aligned["task.head.weight"], expected["task.head.weight"])
    assert not torch.allclose(aligned["backbone.layers.1.0.weight_hh"], expected["backbone.layers.1.0.weight_hh"])
    assert {*rule.content()["matrices"]} == {*copies(model)}
    rule.restore({"matrices": copies(model)})
    rule.gradients(objective(model), batch, None)
    torch.testing.assert_close(collected(model), expected)
    assert engines == [layer.directions[0].engine for layer in model.backbone.layers]


def test_wrong_options_and_contents() -> None:
    with pytest.raises(ValueError, match="directions is 0: it must be at least 1"):
        ForwardGradient(0)
    with pytest.raises(ValueError, match="the feedback of the learning rule is not a mapping of tensors"):
        FeedbackAlignment().restore({"matrices": [1]})
    model = small_model("ind_rnn")
    model.task.forward = lambda features, batch: features.outputs.sum(2)
    model.backbone.forward = lambda x, steps, state: (x.repeat(1, 1, 2)[..., :4], ())
    with pytest.raises(TrainingError, match="replaces linear layers, which this model does not have"):
        FeedbackAlignment().gradients(objective(model), some_batch(), None)
