"""The shares of two classifiers."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from seqzoo.network.heads.log_mixture import PRIOR, fit_shares


def examples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A classifier that knows the distribution of the targets, and one that is sure and knows nothing."""
    knows = torch.randn(count, 3).log_softmax(1)
    targets = knows.exp().multinomial(1)[:, 0]
    return torch.stack([knows, (10 * torch.randn(count, 3)).log_softmax(1)], -1), targets


def test_shares_are_those_of_the_best_distribution() -> None:
    shares = fit_shares(*examples(5_000))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.0], dtype=torch.double), atol=0.05, rtol=0)


def test_shares_minimise_the_loss() -> None:
    scores, targets = examples(40)
    scores = scores.double()

    def loss(shares: torch.Tensor) -> float:
        held = F.cross_entropy(scores @ shares, targets, reduction="sum")
        return float(held + PRIOR * (shares - 0.5).square().sum())

    shares = fit_shares(scores, targets)
    for change in ([0.01, 0.0], [-0.01, 0.0], [0.0, 0.01], [0.01, -0.01]):
        assert loss(shares) < loss((shares + torch.tensor(change).double()).clamp(min=0)) + 1e-9


def test_few_examples_change_little() -> None:
    shares = fit_shares(torch.tensor([[[-0.1, -2.0], [-2.35, -0.15]]]), torch.tensor([0]))
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.5], dtype=torch.double), atol=0.25, rtol=0)


def test_impossible_classes_have_finite_shares() -> None:
    certain = torch.tensor([[[0.0, -0.1], [float("-inf"), -2.35]]]).repeat(3, 1, 1)
    assert fit_shares(certain, torch.tensor([0, 1, 0])).isfinite().all()
