"""Every head defines a distribution, and its loss is the negative log-probability."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqzoo.contracts.masking import IGNORED
from seqzoo.network.heads import AdaptiveSoftmax, Head, MixtureOfSoftmaxes, Softmax

FEATURES, V, N = 6, 11, 40
HEADS: dict[str, Callable[[nn.Embedding | None], Head]] = {
    "softmax": lambda embedding: Softmax(FEATURES, V, embedding),
    "adaptive": lambda embedding: AdaptiveSoftmax(FEATURES, V, [3, 7], embedding),
    "mixture": lambda embedding: MixtureOfSoftmaxes(FEATURES, V, 3, embedding),
}


@pytest.fixture(params=HEADS)
def make(request: pytest.FixtureRequest) -> Callable[[nn.Embedding | None], Head]:
    return HEADS[request.param]


@pytest.mark.parametrize("width", [None, FEATURES, 4])
def test_the_loss_is_that_of_the_log_probabilities(make: Callable, width: int | None) -> None:
    """Gradients, too; with weights of the head, and with tied ones of the width of the features and of another."""
    head = make(None if width is None else nn.Embedding(V, width)).double()
    features = torch.randn(N, FEATURES, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, V, (N,))
    loss = head.loss(features, targets)
    found = head.log_probabilities(features)
    assert found.shape == (N, V)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(N))
    expected = -found.gather(1, targets[:, None]).sum()
    torch.testing.assert_close(loss, expected.to(loss))
    learned = [features, *head.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(loss, learned), torch.autograd.grad(expected, learned, allow_unused=True), strict=True
    ):
        torch.testing.assert_close(ours, torch.zeros_like(ours) if theirs is None else theirs, rtol=1e-4, atol=1e-5)


def test_log_probabilities_of_targets_are_among_those_of_all_tokens(make: Callable) -> None:
    head = make(None)
    features, targets = torch.randn(N, FEATURES), torch.randint(0, V, (N,))
    expected = head.log_probabilities(features).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(head.target_log_probabilities(features, targets), expected)


def test_ignored_rows_count_nothing(make: Callable) -> None:
    head = make(None)
    features, targets = torch.randn(N, FEATURES, requires_grad=True), torch.randint(0, V, (N,))
    some = torch.rand(N) < 0.5
    loss = head.loss(features, targets.masked_fill(some, IGNORED))
    torch.testing.assert_close(loss, head.loss(features[~some], targets[~some]))
    [gradient] = torch.autograd.grad(loss, features)
    assert not gradient[some].any()
    assert gradient[~some].any(1).all()


def test_tied_weights_are_those_of_the_encoder(make: Callable) -> None:
    embedding = nn.Embedding(V, FEATURES)
    head = make(embedding)
    assert head.weight is embedding.weight
    head.loss(torch.randn(N, FEATURES), torch.randint(0, V, (N,))).backward()
    assert (embedding.weight.grad.abs().sum(1) > 0).all()


def test_the_adaptive_softmax_is_torchs_where_clusters_are_not_narrower() -> None:
    ours = AdaptiveSoftmax(FEATURES, V, [3, 7])
    theirs = nn.AdaptiveLogSoftmaxWithLoss(FEATURES, V, [3, 7], div_value=1.0, head_bias=True)
    with torch.no_grad():
        theirs.head.weight.copy_(torch.cat([ours.weight[:3], ours.cluster_weight]))
        theirs.head.bias.copy_(torch.cat([ours.bias[:3], ours.cluster_bias]))
        ours.bias[3:] = 0  # torch's clusters have none
        for (projection, cluster), (begin, end) in zip(theirs.tail, [(3, 7), (7, 11)], strict=True):
            projection.weight.copy_(torch.eye(FEATURES))
            cluster.weight.copy_(ours.weight[begin:end])
    features, targets = torch.randn(N, FEATURES), torch.randint(0, V, (N,))
    torch.testing.assert_close(ours.log_probabilities(features), theirs.log_prob(features))
    torch.testing.assert_close(ours.loss(features, targets), theirs(features, targets).loss * N)


def test_one_softmax_mixed_is_a_softmax() -> None:
    mixture = MixtureOfSoftmaxes(FEATURES, V, 1)
    features = torch.randn(N, FEATURES)
    plain = (torch.tanh(mixture.latent(features)) @ mixture.weight.T + mixture.bias).log_softmax(-1)
    torch.testing.assert_close(mixture.log_probabilities(features), plain)


def test_the_mixture_by_its_formula() -> None:
    mixture = MixtureOfSoftmaxes(FEATURES, V, 3)
    h = torch.randn(FEATURES)
    prior = (mixture.prior.weight @ h).softmax(0)
    expected = torch.zeros(V)
    for k in range(3):
        rows = slice(k * FEATURES, (k + 1) * FEATURES)
        latent = torch.tanh(mixture.latent.weight[rows] @ h + mixture.latent.bias[rows])
        expected = expected + prior[k] * (mixture.weight @ latent + mixture.bias).softmax(0)
    torch.testing.assert_close(mixture.log_probabilities(h), expected.log())


@pytest.mark.parametrize("cutoffs", [[], [0, 3], [7, 3], [3, 3], [3, V], [-1, 3]])
def test_cutoffs_that_do_not_rise_inside_the_vocabulary(cutoffs: list[int]) -> None:
    with pytest.raises(ValueError, match="softmax_cutoffs is"):
        AdaptiveSoftmax(FEATURES, V, cutoffs)
