"""Cells that are linear in their state: limits, and that their scan is parallel."""

from __future__ import annotations

import functools
import math

import pytest
import torch

import seqzoo
from seqzoo.analysis.catalogue import cell_info
from seqzoo.cells.cell import Cell
from seqzoo.configuration import registry
from seqzoo.contracts.errors import ConfigError


@functools.cache
def linear() -> list[str]:
    """All cells that are linear in the state; each one is built to see."""
    return [name for name in registry.names("cell") if cell_info(name).linear]


def test_a_scan_takes_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in linear():
        cell = seqzoo.create_cell(name, 4, 5)
        cell.engine = "torch"
        monkeypatch.setattr(type(cell), "step", None)
        cell.scan(torch.randn(2, 300, 4))
        monkeypatch.undo()


def test_a_long_scan_is_stepping() -> None:
    """Long enough for chunks of chunks, with rows that end in the middle of one."""
    for name in linear():
        cell = seqzoo.create_cell(name, 4, 5)
        x, lengths = torch.randn(3, 3000, 4), torch.tensor([3000, 1234, 0])
        with torch.no_grad():
            (got, state), (expected, other) = cell.scan(x, None, lengths), Cell.unroll(cell, x, None, lengths)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
        for one, two in zip(state, other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_half_precision() -> None:
    for name in [*linear(), "sru_peephole"]:
        torch.manual_seed(0)
        cell = seqzoo.create_cell(name, 4, 5)
        x = torch.randn(2, 70, 4)
        expected, _ = cell.scan(x)
        with torch.autocast("cpu", torch.bfloat16):
            mixed, state = cell.scan(x)
        assert all(part.dtype == torch.float32 for part in state)
        torch.testing.assert_close(mixed.float(), expected, rtol=0.1, atol=0.15)
        cell = cell.bfloat16()
        half, state = cell.scan(x.bfloat16())
        stepped, stepped_state = Cell.unroll(cell, x.bfloat16())
        assert half.dtype == stepped.dtype == torch.bfloat16
        assert [part.dtype for part in state] == [part.dtype for part in stepped_state]
        torch.testing.assert_close(half.float(), expected, rtol=0.1, atol=0.15)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_equal_gates_average(name: str) -> None:
    """All weights of the gates zero: z = 1/2, f = i, and the state is half of the last plus half of the candidate."""
    cell = seqzoo.create_cell(name, 1, 1)
    with torch.no_grad():
        cell.weight_ih.zero_()
        cell.weight_ih[-1] = 2.0
    outputs, _ = cell.scan(torch.tensor([[[1.0], [3.0], [0.0]]]))
    torch.testing.assert_close(outputs.flatten(), torch.tensor([1.0, 3.5, 1.75]))


def test_the_gates_of_min_lstm_may_both_be_shut() -> None:
    cell = seqzoo.create_cell("min_lstm", 1, 1)
    with torch.no_grad():
        cell.weight_ih.zero_()
        cell.bias.copy_(torch.tensor([-200.0, -200.0, 4.0]))
    outputs, _ = cell.scan(torch.zeros(1, 2, 1))
    torch.testing.assert_close(outputs.flatten(), torch.tensor([2.0, 3.0]))
    assert torch.autograd.grad(outputs.sum(), cell.bias)[0].isfinite().all()


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_positive_candidates_keep_the_state_positive(name: str) -> None:
    cell = seqzoo.create_cell(name, 3, 4, positive=True)
    x = 5 * torch.randn(2, 50, 3)
    assert (cell.scan(x)[0] > 0).all()
    torch.testing.assert_close(cell.scan(x)[0], Cell.unroll(cell, x)[0])


def test_min_lstm_remembers_more_with_a_forget_bias() -> None:
    """f = 1 and i = 1/2: two thirds are kept."""
    cell = seqzoo.create_cell("min_lstm", 1, 1, forget_bias=20.0)
    outputs, _ = cell.scan(torch.zeros(1, 3, 1), (torch.ones(1, 1),))
    torch.testing.assert_close(outputs.flatten(), (2 / 3) ** torch.arange(1.0, 4.0))


def test_lru_starts_in_its_ring() -> None:
    cell = seqzoo.create_cell("lru", 2, 500, r_min=0.5, r_max=0.9, max_phase=0.3)
    a, _ = cell.coefficients(cell.project(torch.zeros(1, 2)))
    assert a.abs().min() >= 0.499
    assert a.abs().max() <= 0.901
    assert a.angle().min() >= 0
    assert a.angle().max() <= 0.3001
    # uniform over the ring's area
    assert abs(a.abs().square().mean() - (0.25 + 0.81) / 2) < 0.02
    # white noise keeps its size: |lambda|^2 + gamma^2 = 1
    torch.testing.assert_close(a.abs() ** 2 + (2 * cell.gamma).exp(), torch.ones(500))


def test_lru_starts_as_in_the_paper() -> None:
    """Real and imaginary part of B have half of the variance 1 / I each; those of C have 1 / H each."""
    cell = seqzoo.create_cell("lru", 50, 200)
    variances = {"b_real": 1 / 100, "b_imag": 1 / 100, "c_real": 1 / 200, "c_imag": 1 / 200, "d": 1 / 50}
    found = {name: cell.get_parameter(name).detach().var().item() for name in variances}
    assert found == pytest.approx(variances, rel=0.1)


def test_lru_is_a_sum_of_powers() -> None:
    cell = seqzoo.create_cell("lru", 3, 4).double()
    x = torch.randn(1, 6, 3, dtype=torch.float64)
    eigenvalues = torch.exp(torch.complex(-cell.nu.exp(), cell.theta.exp()))
    b, c = torch.complex(cell.b_real, cell.b_imag), torch.complex(cell.c_real, cell.c_imag)
    driven = cell.gamma.exp() * ((x[0] + 0j) @ b.T)
    h = sum(eigenvalues ** (5 - t) * driven[t] for t in range(6))
    torch.testing.assert_close(cell.scan(x)[0][0, -1], (c @ h).real + cell.d @ x[0, -1])


def test_sru_with_a_shut_highway_gate_is_its_scaled_input() -> None:
    cell = seqzoo.create_cell("sru", 3, 3, highway_bias=-30.0)
    assert cell.num_parts == 3
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(cell.scan(x)[0], x)
    assert math.isclose(seqzoo.create_cell("sru", 3, 3).alpha, math.sqrt(3))


def test_sru_is_the_same_with_peepholes_at_their_start() -> None:
    cell, other = seqzoo.create_cell("sru", 3, 5), seqzoo.create_cell("sru_peephole", 3, 5)
    other.load_state_dict(cell.state_dict(), strict=False)
    x = torch.randn(2, 80, 3)
    torch.testing.assert_close(cell.scan(x)[0], other.scan(x)[0])
    assert torch.autograd.grad(other.scan(x)[0].sum(), other.v)[0].abs().min() > 0


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_sru_activations(activation: str) -> None:
    cell = seqzoo.create_cell("sru", 3, 5, activation=activation, highway_bias=30.0, rescale=False)
    x = torch.randn(2, 9, 3)
    outputs, (c,) = cell.scan(x)
    torch.testing.assert_close(outputs[:, -1], getattr(torch, activation)(c))


@pytest.mark.parametrize("window", [1, 2, 4])
@pytest.mark.parametrize("pooling", ["f", "fo", "ifo"])
def test_qrnn_windows_and_poolings(window: int, pooling: str) -> None:
    cell = seqzoo.create_cell("qrnn", 3, 4, window=window, pooling=pooling).double()
    x, lengths = torch.randn(3, 70, 3, dtype=torch.float64), torch.tensor([70, 2, 0])
    (got, state), (expected, other) = cell.scan(x, None, lengths), Cell.unroll(cell, x, None, lengths)
    torch.testing.assert_close(got, expected)
    for one, two in zip(state, other, strict=True):
        torch.testing.assert_close(one, two)
    assert (pooling == "f") == torch.equal(got[0, -1], state[0][0])


def test_hgrn_without_phases_is_the_complex_one_at_phase_zero() -> None:
    """Without imaginary inputs: h stays real. The outputs differ, as the norm is over real and imaginary parts."""
    cell = seqzoo.create_cell("hgrn", 3, 5)
    real = seqzoo.create_cell("hgrn", 3, 5, complex_state=False)
    with torch.no_grad():
        cell.theta.zero_()
        mu, c, c_imaginary, g, _ = cell.weight_ih.chunk(5)
        c_imaginary.zero_()
        real.weight_ih.copy_(torch.cat([mu, c, g]))
    x = torch.randn(2, 70, 3)
    _, (h_real, h_imaginary) = cell.scan(x)
    _, (h,) = real.scan(x)
    torch.testing.assert_close(h, h_real)
    assert (h_imaginary == 0).all()
    torch.testing.assert_close(real.scan(x)[0], Cell.unroll(real, x)[0])


def test_hgrn_never_forgets_faster_than_its_bound() -> None:
    cell = seqzoo.create_cell("hgrn", 3, 5, lower_bound=0.9)
    a, _ = cell.coefficients(cell.project(100 * torch.randn(200, 3)))
    assert a.abs().min() >= 0.8999
    assert a.abs().max() <= 1.0001


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lru", {"r_min": 0.9, "r_max": 0.5}, "r_min"),
        ("lru", {"r_max": 1.5}, "r_max"),
        ("lru", {"max_phase": 0.0}, "max_phase"),
        ("qrnn", {"window": 0}, "window"),
        ("hgrn", {"lower_bound": 1.0}, "lower_bound"),
    ],
)
def test_bad_values_are_reported(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        seqzoo.create_cell(name, 3, 5, **options)
