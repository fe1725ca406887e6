"""Means, maxima and losses of real steps alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.masking import (
    IGNORED,
    checked_lengths,
    cross_entropy,
    ignore_padding,
    largest_of,
    mask,
    mean_of,
    zero_padding,
)

LENGTHS = torch.tensor([4, 2, 1])


def test_a_mask_is_true_at_real_steps() -> None:
    assert mask(LENGTHS, 5).long().tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]


def test_a_mean_divides_by_the_real_steps() -> None:
    outputs = torch.tensor([[[1.0], [2.0], [3.0], [6.0]], [[5.0], [7.0], [0.0], [0.0]], [[9.0], [0.0], [0.0], [0.0]]])
    assert mean_of(outputs, LENGTHS).tolist() == [[3.0], [6.0], [9.0]]
    assert mean_of(outputs, None).tolist() == [[3.0], [3.0], [2.25]]


def test_the_largest_is_of_the_real_steps() -> None:
    outputs = torch.tensor([[[-1.0], [-2.0], [-3.0], [-6.0]], [[-5.0], [-7.0], [0.0], [0.0]], [[-9.0], [0], [0], [0]]])
    assert largest_of(outputs, LENGTHS).tolist() == [[-1.0], [-5.0], [-9.0]]
    assert largest_of(outputs, None).tolist() == [[-1.0], [0.0], [0.0]]


def test_a_row_without_real_steps_has_a_mean_and_a_largest_of_zero() -> None:
    outputs, lengths = torch.full((2, 3, 1), -2.0), torch.tensor([0, 2])
    assert mean_of(outputs, lengths).tolist() == largest_of(outputs, lengths).tolist() == [[0.0], [-2.0]]


def test_padding_becomes_zero_whatever_stood_there() -> None:
    x = torch.tensor([[1.0, float("nan")], [2.0, 3.0]], requires_grad=True)
    zeroed = zero_padding(x, torch.tensor([1, 2]))
    assert zeroed.tolist() == [[1.0, 0.0], [2.0, 3.0]]
    zeroed.square().sum().backward()
    assert x.grad.tolist() == [[2.0, 0.0], [4.0, 6.0]]


@pytest.mark.parametrize("wrong", [-1, 5])
def test_lengths_are_from_zero_to_the_number_of_steps(wrong: int) -> None:
    assert checked_lengths(torch.tensor([0, 4], dtype=torch.int8), (2, 4), torch.device("cpu")).tolist() == [0, 4]
    with pytest.raises(ValueError, match=f"lengths contain {wrong}: the input has 4 steps, so they must be 0 to 4"):
        checked_lengths(torch.tensor([2, wrong]), (2, 4), torch.device("cpu"))


def test_cross_entropy_of_16_bits_is_summed_in_32() -> None:
    """The sum of 40,000 log 8 is more than float16 can hold."""
    scores, targets = torch.zeros(4, 10_000, 8, dtype=torch.float16), torch.zeros(4, 10_000, dtype=torch.long)
    assert cross_entropy(scores, targets, None).total.item() == pytest.approx(40_000 * math.log(8), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("lengths", [LENGTHS, None])
def test_cross_entropy_is_a_sum_over_real_steps_and_their_number(lengths: Tensor | None, smoothing: float) -> None:
    scores, targets = torch.randn(3, 4, 5, dtype=torch.float64), torch.randint(5, (3, 4))
    found = cross_entropy(scores, targets, lengths, smoothing)
    total, count = 0.0, 0
    for row, length in enumerate([4, 4, 4] if lengths is None else lengths.tolist()):
        for step in range(length):
            logs = scores[row, step].log_softmax(0)
            total -= (1 - smoothing) * logs[targets[row, step]].item() + smoothing * logs.mean().item()
            count += 1
    assert found.total.item() == pytest.approx(total, rel=1e-5)
    assert int(found.count) == count
    if lengths is not None:
        assert (ignore_padding(targets, lengths) == IGNORED).sum() == 12 - count
