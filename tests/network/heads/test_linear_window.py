"""The linear model of a window."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.network.heads.linear_window import LinearWindow, System, normal_equations, window_sizes


def waves(length: int = 60) -> Tensor:
    """Two series (2, T, 1) of x_t = 1.6 x_t-1 - 0.8 x_t-2 + 0.1."""
    values = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])]
    while len(values) < length:
        values.append(1.6 * values[-1] - 0.8 * values[-2] + 0.1)
    return torch.stack(values, 1)[..., None]


def fitted(steps: int, series: Tensor) -> LinearWindow:
    inputs, targets = series[:, :-1], series[:, 1:]
    linear = LinearWindow(1, 1, steps)
    known = torch.ones(inputs.shape[:2], dtype=torch.bool)
    rows = [(inputs[:1], targets[:1], known[:1]), (inputs[1:], targets[1:], known[1:])]
    linear.fit(rows, lambda: float((linear(inputs) - targets)[:, steps:].square().sum()))
    return linear


def test_the_weights_of_a_linear_series_are_found() -> None:
    linear = fitted(2, waves())
    assert linear.weight.flatten().tolist() == pytest.approx([-0.8, 1.6], abs=1e-3)
    assert linear.bias.item() == pytest.approx(0.1, abs=1e-3)
    torch.testing.assert_close(linear(waves()[:, :-1])[:, 1:], waves()[:, 2:], atol=1e-3, rtol=0)
    longer = fitted(4, waves())
    torch.testing.assert_close(longer(waves()[:, :-1])[:, 3:], waves()[:, 4:], atol=1e-3, rtol=0)


def test_the_prediction_after_a_window_is_the_last_one_of_the_row() -> None:
    linear, series = fitted(3, waves()), waves()[:, :20]
    for length in (1, 2, 20):
        window = linear.last_inputs(series, torch.tensor([length, length]))
        torch.testing.assert_close(linear.after(window), linear(series[:, :length])[:, -1])


def test_rows_that_are_shorter_than_every_window_leave_persistence() -> None:
    linear = LinearWindow(1, 1, 3)
    linear.fit([(torch.ones(1, 4, 1), torch.ones(1, 4, 1), torch.zeros(1, 4, dtype=torch.bool))], lambda: 1.0)
    assert linear.weight.flatten().tolist() == [0, 0, 1]


def test_large_penalties_lead_to_the_prior() -> None:
    rows = (waves()[:, :-1], waves()[:, 1:], torch.ones(2, 59, dtype=torch.bool))
    system = normal_equations([rows], [2])[2]
    prior = torch.tensor([[0.5], [0.25], [0.0]], dtype=torch.double)
    torch.testing.assert_close(system.solution(1e9, prior)[:2], prior[:2], atol=1e-3, rtol=0)
    torch.testing.assert_close(system.solution(1e9)[:2], torch.zeros_like(prior[:2]), atol=1e-3, rtol=0)


def test_the_equations_of_parts_add_up() -> None:
    features, targets = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), torch.arange(9.0)[:, None]
    whole, parts = (
        System.of(features, targets),
        System.of(features[:4], targets[:4]) + System.of(features[4:], targets[4:]),
    )
    torch.testing.assert_close(whole.solution(1e-3), parts.solution(1e-3))
    assert whole.count == parts.count == 9


def test_unknown_targets_are_left_out() -> None:
    series = waves()
    inputs, targets = series[:, :-1].clone(), series[:, 1:].clone()
    known = torch.ones(2, 59, dtype=torch.bool)
    known[0, 30:], targets[0, 30:], inputs[0, 31:] = False, torch.nan, torch.nan
    system = normal_equations([(inputs, targets, known)], [2])[2]
    assert system.count == 29 + 58
    assert system.solution(1e-6)[:2].flatten().tolist() == pytest.approx([-0.8, 1.6], abs=1e-3)


@pytest.mark.parametrize(("longest", "sizes"), [(1, [1]), (8, [1, 2, 4, 8]), (9, [1, 2, 4, 8, 9])])
def test_the_sizes_of_windows(longest: int, sizes: list[int]) -> None:
    assert window_sizes(longest) == sizes
