"""The RBM against the enumeration of all frames."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from seqzoo.network.heads.rbm import Rbm

O, H, K = 3, 4, 5  # noqa: E741 (the letters of the shapes)
FRAMES = torch.tensor([*product((0.0, 1.0), repeat=K)])


def rbm(annealing_steps: int = 100) -> Rbm:
    head = Rbm(O, K, H, gibbs_steps=1, annealing_steps=annealing_steps).eval()
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.8)
    return head


def exact(head: Rbm, features: Tensor) -> Tensor:
    """The log-probabilities of all frames, from the energies of all frames and hidden units."""
    a, b = head.hidden_bias(features), head.visible_bias(features)
    units = torch.tensor([*product((0.0, 1.0), repeat=H)])
    energies = -(FRAMES @ b)[:, None] - (units @ a) - FRAMES @ head.weight.T @ units.T
    return (-energies).logsumexp(1).log_softmax(0)


def test_the_bound_is_below_the_log_probability_and_becomes_tight() -> None:
    head, features = rbm(), torch.randn(O)
    expected = exact(head, features)
    gaps = []
    for steps in (1, 10, 200):
        head.annealing_steps = steps
        # the mean over chains, since the bound holds in expectation
        bounds = head.log_probability(features.expand(len(FRAMES), 400, -1), FRAMES[:, None].expand(-1, 400, -1))
        gaps.append((expected - bounds.mean(1)).mul(expected.exp()).sum().item())
    assert gaps[0] > gaps[1] > gaps[2] > -0.01
    assert gaps[2] < 0.02
    # the weights themselves have the probability of the annealed model as their mean, which sums to 1
    assert bounds.exp().mean(1).sum().item() == pytest.approx(1, abs=0.02)


def test_equal_weights_have_equal_bounds_and_the_training_keeps_its_random_numbers() -> None:
    head, features = rbm(), torch.randn(7, O)
    frames = (torch.rand(7, K) < 0.5).float()
    state = torch.random.get_rng_state()
    assert torch.equal(head.log_probability(features, frames), head.log_probability(features, frames))
    assert torch.equal(head.loss(features, frames), -head.log_probability(features, frames))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_frames_are_drawn_with_their_probability_and_given_notes_are_kept() -> None:
    head, features = rbm(annealing_steps=30), torch.randn(O)
    expected = exact(head, features).exp()
    drawn = head.draw(features.expand(20_000, -1))
    found = (drawn[:, None] == FRAMES).all(-1).float().mean(0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.015)
    given = torch.tensor([-1.0, 1.0, -1.0, -1.0, 0.0])
    drawn = head.draw(features.expand(20_000, -1), given=given.expand(20_000, -1))
    expected = expected * (FRAMES[:, 1] == 1) * (FRAMES[:, 4] == 0)
    found = (drawn[:, None] == FRAMES).all(-1).float().mean(0)
    torch.testing.assert_close(found, expected / expected.sum(), rtol=0, atol=0.015)
    kept = head.draw(features.expand(9, -1), temperature=0.0, given=given.expand(9, -1))
    assert (kept[:, 1] == 1).all()
    assert (kept[:, 4] == 0).all()


def test_contrastive_divergence_approaches_the_gradient_of_the_likelihood_with_many_steps() -> None:
    head, features = rbm().train(), torch.randn(O)
    head.gibbs_steps = 30
    frames = FRAMES[[3, 17, 17, 30]]
    repeats = 4_000
    loss = head.loss(features.expand(4, repeats, -1), frames[:, None].expand(-1, repeats, -1)).sum() / repeats
    found = torch.autograd.grad(loss, [*head.parameters()])
    likelihood = exact(head, features)[[3, 17, 17, 30]].sum()
    expected = torch.autograd.grad(-likelihood, [*head.parameters()])
    torch.testing.assert_close(found, expected, rtol=0, atol=0.06)


def test_it_learns_two_notes_that_sound_together_or_not_at_all() -> None:
    head, features = rbm().train(), torch.zeros(200, O)
    head.gibbs_steps = 3
    frames = torch.zeros(200, K)
    frames[:100, 1:3] = 1
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        head.loss(features, frames).mean().backward()
        optimizer.step()
    probabilities = exact(head, features[0]).exp()
    assert probabilities[(frames[0] == FRAMES).all(1)] > 0.3
    assert probabilities[(frames[-1] == FRAMES).all(1)] > 0.3
