"""Ridge regression as the readout of a reservoir."""

from __future__ import annotations

import pytest
import torch

from seqzoo.cells.echo_state import EchoState
from seqzoo.learning.ridge import Reservoir, ridge


def test_ridge_by_hand() -> None:
    """One feature: w = sum(x y) / (sum(x x) + penalty)."""
    x, y = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[3.0], [5.0]]).double()
    assert ridge(x, y, 0.5).item() == pytest.approx(13 / 5.5)
    with pytest.raises(ValueError, match="penalty=0 must be above 0"):
        ridge(x, y, 0)


def test_ridge_solves_the_normal_equations() -> None:
    x, y = torch.randn(30, 4).double(), torch.randn(30, 2).double()
    expected = torch.linalg.solve(x.T @ x + 0.3 * torch.eye(4).double(), x.T @ y)
    torch.testing.assert_close(ridge(x, y, 0.3), expected)


def test_a_reservoir_remembers_its_inputs() -> None:
    """For small inputs the state is linear in them, and so is a sum over three steps."""
    reservoir = Reservoir(EchoState(1, 50, input_scale=0.1))
    x = torch.rand(1, 600, 1).double()
    y = x + x.roll(1, 1) + x.roll(2, 1)
    reservoir.fit(x[:, :400], y[:, :400], 50, 1e-9)
    answers, _ = reservoir.predict(x[:, 400:])
    error = (answers - y[:, 400:])[:, 50:].square().mean() / y.var()
    assert error.sqrt() < 0.01
    with pytest.raises(ValueError, match="washout=600 leaves nothing of 600 steps"):
        reservoir.fit(x, y, 600, 1.0)


def test_the_washout_is_not_fitted() -> None:
    x, y = torch.rand(2, 60, 1).double(), torch.rand(2, 60, 1).double()
    reservoir = Reservoir(EchoState(1, 10))
    h, _ = reservoir.cell.scan(x)
    seen = torch.cat([torch.ones_like(x), x, h], -1)[:, 20:].flatten(0, 1)
    reservoir.fit(x, y, 20, 0.1)
    torch.testing.assert_close(reservoir.readout, ridge(seen, y[:, 20:].flatten(0, 1), 0.1))


def test_free_running_feeds_back_predictions() -> None:
    reservoir = Reservoir(EchoState(1, 20))
    x = torch.sin(torch.arange(300.0).double() / 5)[None, :, None]
    reservoir.fit(x[:, :-1], x[:, 1:], 50, 1e-8)
    answers, state = reservoir.predict(x[:, :200])
    free = reservoir.run_free(answers[:, -1], state, 6)
    y, expected = answers[:, -1:], []
    for _ in range(6):
        y, state = reservoir.predict(y, state)
        expected.append(y)
    torch.testing.assert_close(free, torch.cat(expected, 1))
    torch.testing.assert_close(free, x[:, 201:207], rtol=0, atol=0.01)
