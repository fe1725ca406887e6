"""Losses and draws of distributions against torch.distributions and by hand."""

from __future__ import annotations

import torch
from torch import distributions

from seqzoo.network.heads.distributions import QUANTILES, MixtureHead, QuantileHead, levels


def test_the_likelihood_of_a_mixture() -> None:
    head = MixtureHead(4, 2, components=3)
    parameters, targets = head(torch.randn(5, 4)), torch.randn(5, 2)
    weights, means, deviations = head.parts(parameters)
    gaussians = distributions.Independent(distributions.Normal(means, deviations), 1)
    mixture = distributions.MixtureSameFamily(distributions.Categorical(logits=weights), gaussians)
    torch.testing.assert_close(head.loss(parameters, targets, torch.ones(5, 2).bool()), -mixture.log_prob(targets))


def test_a_missing_number_is_integrated_out() -> None:
    head = MixtureHead(4, 2, components=3)
    parameters, targets = head(torch.randn(1, 4)), torch.tensor([[0.3, float("nan")]])
    weights, means, deviations = head.parts(parameters)
    marginal = distributions.MixtureSameFamily(
        distributions.Categorical(logits=weights), distributions.Normal(means[..., 0], deviations[..., 0])
    )
    found = head.loss(parameters, targets, torch.tensor([[True, False]]))
    torch.testing.assert_close(found, -marginal.log_prob(torch.tensor([0.3])))


def test_draws_of_a_mixture_have_its_moments() -> None:
    head = MixtureHead(4, 1, components=2)
    parameters = head(torch.randn(1, 4)).expand(20_000, -1)
    weights, means, deviations = (
        part[0].exp() if i == 0 else part[0, :, 0] for i, part in enumerate(head.parts(parameters))
    )
    drawn = head.sample(parameters, torch.Generator().manual_seed(0))
    mean = (weights * means).sum()
    variance = (weights * (deviations.square() + means.square())).sum() - mean.square()
    torch.testing.assert_close(drawn.mean(), mean, rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.var(), variance, rtol=0.05, atol=0)


def test_shifted_distributions_have_the_loss_of_targets_that_are_shifted_back() -> None:
    for head in (MixtureHead(4, 2, components=3), QuantileHead(4, 2)):
        parameters, targets, values = head(torch.randn(5, 4)), torch.randn(5, 2), torch.randn(5, 2)
        known = torch.ones(5, 2).bool()
        losses = head.loss(head.shifted(parameters, values), targets, known)
        torch.testing.assert_close(losses, head.loss(parameters, targets - values, known))


def test_the_pinball_loss_by_hand() -> None:
    head = QuantileHead(4, 1)
    parameters = torch.zeros(1, QUANTILES)
    known = torch.ones(1, 1).bool()
    # all quantiles are 0, the target is 2: 2 * mean(level * 2) = 2 * 0.5 * 2
    torch.testing.assert_close(head.loss(parameters, torch.tensor([[2.0]]), known), torch.tensor([2.0]))
    torch.testing.assert_close(head.loss(parameters, torch.tensor([[-2.0]]), known), torch.tensor([2.0]))
    assert head.loss(parameters, torch.tensor([[2.0]]), ~known) == 0


def test_the_pinball_loss_finds_quantiles() -> None:
    head = QuantileHead(1, 1)
    samples = torch.linspace(0, 1, 401)[:, None]
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(head(torch.zeros(401, 1)), samples, torch.ones(401, 1).bool()).mean().backward()
        optimizer.step()
    torch.testing.assert_close(head(torch.zeros(1, 1))[0], torch.tensor(levels()), rtol=0, atol=0.02)


def test_draws_between_quantiles() -> None:
    """The quantiles 1 to 9, in any order: uniform from 0 to 10."""
    head = QuantileHead(4, 1)
    parameters = torch.tensor([9.0, 1, 8, 2, 7, 3, 6, 4, 5]).expand(5_000, -1)
    drawn = head.sample(parameters, torch.Generator().manual_seed(0))[:, 0].sort().values
    assert drawn[0] >= 0
    assert drawn[-1] <= 10
    torch.testing.assert_close(drawn, torch.linspace(0, 10, 5_000), rtol=0, atol=0.2)
