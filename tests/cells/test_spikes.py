"""Spiking cells: what a spike does, and its surrogate gradient by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import seqzoo
from seqzoo.cells.spikes import smooth, spike
from seqzoo.contracts.errors import ConfigError

DECAY, GAMMA, THETA = np.exp(-1 / 4), 0.3, 0.8


def test_a_spike_is_a_step_with_the_derivative_of_a_triangle() -> None:
    u = torch.tensor([-2.0, -0.25, 0.0, 0.25, 3.0], dtype=torch.float64, requires_grad=True)
    spikes = spike(u, GAMMA)
    assert spikes.tolist() == [0, 0, 0, 1, 1]
    spikes.sum().backward()
    np.testing.assert_allclose(u.grad, GAMMA * np.array([0, 0.75, 1, 0.75, 0]))
    assert smooth(torch.tensor([-1.0, 0.0, 1.0, 5.0]), 1.0).tolist() == [0, 0.5, 1, 1]


def test_a_constant_current_makes_a_neuron_spike_regularly_and_adaptation_slows_it_down() -> None:
    counts = {}
    for name in ("lif", "alif"):
        cell = seqzoo.create_cell(name, 1, 1)
        with torch.no_grad():
            cell.weight_ih.fill_(0.2)
            cell.weight_hh.zero_()
        outputs, _ = cell.scan(torch.ones(1, 200, 1))
        assert set(outputs.flatten().tolist()) == {0.0, 1.0}
        counts[name] = [int(outputs[0, :100].sum()), int(outputs[0, 100:].sum())]
    # the mean current above the leak is about 0.2 - (1 - alpha) / 2
    assert counts["lif"][0] == pytest.approx(17, abs=2)
    assert counts["lif"][1] == pytest.approx(counts["lif"][0], abs=1)
    assert counts["alif"][1] < counts["alif"][0] < counts["lif"][0]


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_the_gradient_is_the_papers(engine: str) -> None:
    """Backpropagation by hand with pseudo-derivatives, none of them through the reset."""
    steps, inputs, size = 6, 2, 3
    cell = seqzoo.create_cell("lif", inputs, size, tau=4.0, threshold=THETA, engine=engine).double()
    x = torch.randn(1, steps, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = np.linspace(0.5, 1.5, steps * size).reshape(steps, size)
    outputs, _ = cell.scan(x)
    (outputs[0] * torch.from_numpy(weights)).sum().backward()

    w, u = (weight.detach().numpy() for weight in (cell.weight_ih, cell.weight_hh))
    z, v, derivatives = [np.zeros(size)], [np.zeros(size)], []
    for t in range(steps):
        v.append(DECAY * v[-1] + w @ x[0, t].numpy() + u @ z[-1] - THETA * z[-1])
        z.append((v[-1] > THETA).astype(float))
        derivatives.append(GAMMA / THETA * np.maximum(0, 1 - abs(v[-1] - THETA) / THETA))
    np.testing.assert_array_equal(outputs.detach().numpy()[0], z[1:])
    assert 0 < np.mean(z) < 1

    of_w, of_u, of_v = np.zeros_like(w), np.zeros_like(u), np.zeros(size)
    for t in reversed(range(steps)):
        of_z = weights[t] + u.T @ of_v  # of_v: of the next potential
        of_v = DECAY * of_v + of_z * derivatives[t]
        of_w += np.outer(of_v, x[0, t])
        of_u += np.outer(of_v, z[t])
    np.testing.assert_allclose(cell.weight_ih.grad, of_w, atol=1e-12)
    np.testing.assert_allclose(cell.weight_hh.grad, of_u, atol=1e-12)


@pytest.mark.parametrize("option", ["tau", "threshold", "dampening"])
def test_options_are_positive(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is 0.0: it must be above 0"):
        seqzoo.create_cell("lif", 1, 1, **{option: 0.0})
