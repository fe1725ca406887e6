"""A linear layer and its cross-entropy at once equal the two apart, in value and in gradients, in any chunks."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.masking import cross_entropy
from seqzoo.network.heads import linear_cross_entropy as module
from seqzoo.network.heads.linear_cross_entropy import linear_cross_entropy

VOCABULARY = 7


def make(dtype: torch.dtype = torch.float64) -> tuple:
    """features (3, 5, 4), weight, bias, targets, lengths"""
    features, weight, bias = (
        torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in ((3, 5, 4), (VOCABULARY, 4), (VOCABULARY,))
    )
    return features, weight, bias, torch.randint(VOCABULARY, (3, 5)), torch.tensor([5, 2, 3])


@pytest.fixture(params=[1, 2 * VOCABULARY, 10_000], ids=["a row", "two rows", "all rows"], autouse=True)
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.SCORES_AT_ONCE, "cpu", request.param)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_it_equals_linear_layer_and_cross_entropy(label_smoothing: float, with_bias: bool, padded: bool) -> None:
    features, weight, bias, targets, lengths = make()
    leaves = (features, weight, bias) if with_bias else (features, weight)
    if not with_bias:
        bias = None
    kept = targets.masked_fill(torch.arange(5) >= lengths[:, None], -100) if padded else targets
    scores = F.linear(features, weight, bias)
    expected = F.cross_entropy(scores.flatten(0, 1), kept.flatten(), reduction="sum", label_smoothing=label_smoothing)
    found = linear_cross_entropy(features, weight, bias, targets, lengths if padded else None, label_smoothing)
    torch.testing.assert_close(found.total, expected)
    assert found.count == cross_entropy(scores, targets, lengths if padded else None).count
    # as the loop does with fp16: the total is scaled
    for one, other in zip(
        torch.autograd.grad(3 * found.total, leaves), torch.autograd.grad(3 * expected, leaves), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_gradients_by_differences() -> None:
    features, weight, bias, targets, lengths = make()
    assert torch.autograd.gradcheck(
        lambda *leaves: linear_cross_entropy(*leaves, targets, lengths, 0.1).total, (features, weight, bias)
    )


def test_frozen_weights_get_no_gradient() -> None:
    features, weight, bias, targets, _ = make()
    weight.requires_grad_(False)
    linear_cross_entropy(features, weight, bias, targets, None).total.backward()
    assert weight.grad is None
    assert features.grad is not None
    assert bias.grad is not None


def test_without_gradients_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "addmm_", lambda *_: pytest.fail("a gradient was computed"))
    features, weight, bias, targets, _ = make()
    with torch.no_grad():
        found = linear_cross_entropy(features, weight, bias, targets, None)
    assert not found.total.requires_grad


def test_bfloat16_sums_in_float32() -> None:
    features, weight, bias, targets, lengths = make(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = linear_cross_entropy(features, weight, bias, targets, lengths)
    found.total.backward()
    exact = cross_entropy(F.linear(features, weight, bias), targets, lengths)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, exact.total, rtol=2e-2, atol=0)
    for leaf, gradient in zip(
        (features, weight, bias), torch.autograd.grad(exact.total, (features, weight, bias)), strict=True
    ):
        assert leaf.grad.dtype == torch.float32
        torch.testing.assert_close(leaf.grad, gradient, rtol=5e-2, atol=5e-2)


def test_gradients_that_float16_would_lose_are_kept() -> None:
    """The gradient of a token is its probability, here far below the smallest float16, 6e-8."""
    features, weight, bias, _, _ = make(torch.float32)
    with torch.no_grad():
        weight.mul_(0.1)
        bias.zero_()[-1] = -20
    with torch.autocast("cpu", torch.float16):
        total = linear_cross_entropy(features, weight, bias, torch.zeros(3, 5, dtype=torch.long), None).total
    exact = F.linear(features, weight, bias).softmax(-1)[..., -1].sum()
    torch.testing.assert_close(torch.autograd.grad(total, bias)[0][-1], exact.detach(), rtol=0.05, atol=0)


def test_second_derivatives_are_refused() -> None:
    features, weight, bias, targets, _ = make()
    total = linear_cross_entropy(features, weight, bias, targets, None).total
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(total, features, create_graph=True)


def test_it_has_a_derivative_forward_in_time() -> None:
    features, weight = torch.randn(2, 3, 4).double(), torch.randn(5, 4).double()
    targets, direction = torch.randint(5, (2, 3)), torch.randn(5, 4).double()

    def total(weight: Tensor) -> Tensor:
        return linear_cross_entropy(features, weight, None, targets, None).total

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch compiles some derivatives by torch.jit.script
        value, slope = torch.func.jvp(total, (weight,), (direction,))
    leaf = weight.clone().requires_grad_()
    torch.testing.assert_close(value, total(leaf))
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(slope, (gradient * direction).sum(), check_dtype=False)
