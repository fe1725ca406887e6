"""Means, maxima and losses of real steps alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.masking import IGNORED, cross_entropy, ignore_padding, largest_of, mask, mean_of

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
