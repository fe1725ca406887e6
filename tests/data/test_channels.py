"""Measurements as inputs: scaling, masks, and times."""

from __future__ import annotations

import math

import pytest
import torch

from seqzoo.contracts.spec import Channels
from seqzoo.data.channels import constant_channels, fit_channels, model_inputs

NAN = math.nan


def series(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_scaling_is_that_of_all_steps() -> None:
    values = [series([1, 5], [3, 5]), series([5, 5])]
    channels = fit_channels(["a", "b"], values, [None, None])
    assert channels.means == [3, 5]
    assert channels.changes == [2, 0], "of one pair of neighbours: the second series has none"
    assert channels.scales == pytest.approx([math.sqrt(8 / 3), 1]), "a constant channel is only shifted"
    assert constant_channels(["a", "b"], values) == ["b"]
    assert (channels.masked, channels.interval, channels.input_size) == (False, None, 2)
    expected = series([-2 / math.sqrt(8 / 3), 0], [0, 0])
    torch.testing.assert_close(model_inputs(values[0], None, channels), expected)


def test_unscaled() -> None:
    channels = fit_channels(["a"], [series([1], [3])], [None], scaled=False)
    assert model_inputs(series([1], [3]), None, channels).tolist() == [[1], [3]]


def test_missing_values_are_the_last_ones_with_a_mask_and_the_time_since() -> None:
    channels = fit_channels(["a"], [series([NAN], [1], [NAN], [3], [NAN])], [None])
    assert (channels.masked, channels.means, channels.scales) == (True, [2], [1])
    inputs = model_inputs(series([NAN], [1], [NAN], [NAN], [3]), None, channels)
    assert inputs[:, 0].tolist() == [0, -1, -1, -1, 1], "the mean before the first value"
    assert inputs[:, 1].tolist() == [0, 1, 0, 0, 1]
    assert inputs[:, 2].expm1().tolist() == pytest.approx([0, 1, 1, 2, 3])


def test_times_are_inputs_where_their_distances_vary() -> None:
    times = torch.tensor([0.0, 10, 20, 50], dtype=torch.float64)
    values = series([1], [2], [3], [4])
    assert fit_channels(["a"], [values[:3]], [times[:3]]).interval is None
    channels = fit_channels(["a"], [values], [times])
    assert (channels.interval, channels.input_size) == (10, 2)
    assert model_inputs(values, times, channels)[:, 1].expm1().tolist() == pytest.approx([0, 1, 1, 3])
    assert model_inputs(values, None, channels)[:, 1].expm1().tolist() == pytest.approx([0, 1, 1, 1])


def test_masks_need_not_be_read() -> None:
    channels = Channels(["a"], [0.0], [1.0], [1.0])
    assert model_inputs(series([2], [NAN]), None, channels).tolist() == [[2], [2]]
