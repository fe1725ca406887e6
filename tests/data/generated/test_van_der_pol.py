"""The driven oscillator."""

from __future__ import annotations

import math

import pytest
import torch

from seqzoo.data.generated.van_der_pol import HELD, LARGEST, STEP, VanDerPol, van_der_pol

SMALL = {"train_size": 6, "validation_size": 2, "test_size": 2}


def test_without_damping_it_is_a_harmonic_oscillator_around_its_input() -> None:
    beginning, steps = torch.tensor([[1.0, 0.0]], dtype=torch.float64), 50
    states = van_der_pol(beginning, torch.full((1, steps), 0.25, dtype=torch.float64), 0.0)
    times = STEP * torch.arange(1, steps + 1, dtype=torch.float64)
    torch.testing.assert_close(states[0, :, 0], 0.25 + 0.75 * times.cos(), atol=1e-6, rtol=0)
    torch.testing.assert_close(states[0, :, 1], -0.75 * times.sin(), atol=1e-6, rtol=0)


def test_without_input_it_has_a_limit_cycle() -> None:
    """For mu = 1 its amplitude is 2.009 and its period 6.663."""
    states = van_der_pol(torch.tensor([[0.1, 0.0]], dtype=torch.float64), torch.zeros(1, 800, dtype=torch.float64), 1.0)
    late = states[0, 400:]
    assert float(late[:, 0].max()) == pytest.approx(2.009, abs=0.01)
    rises = ((late[:-1, 0] < 0) & (late[1:, 0] >= 0)).nonzero()[:, 0]
    assert float((rises[-1] - rises[0]) / (len(rises) - 1)) * STEP == pytest.approx(6.663, abs=0.05)


def test_targets_are_the_next_inputs() -> None:
    data = VanDerPol(steps=40, **SMALL)
    data.load()
    assert data.spec.next_values
    [batch] = data.batches("train")
    inputs, targets = batch.inputs, batch.required_targets
    assert inputs.shape == (6, 40, 3)
    torch.testing.assert_close(targets[:, :-1], inputs[:, 1:, :2])
    driven = inputs[..., 2].unflatten(1, (-1, HELD))
    assert bool((driven == driven[..., :1]).all())
    assert 0.5 < float(driven.abs().max()) <= LARGEST
    assert not math.isnan(float(targets.sum()))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="mu=-1 must be between 0 and 10"):
        VanDerPol(mu=-1)
