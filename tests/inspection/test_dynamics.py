"""Gates, Jacobians, exponents and memory, against closed forms and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import State
from seqzoo.inspection import dynamics
from seqzoo.inspection.dynamics import Jacobian, Recording, recording


class Linear(Cell):
    """h' = W h + x"""

    def __init__(self, matrix: Tensor):
        super().__init__()
        self.matrix = matrix
        self.input_size = self.hidden_size = self.output_size = len(matrix)

    def initial_state(self, batch_size: int) -> State:
        return (self.matrix.new_zeros(batch_size, self.hidden_size),)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = state[0] @ self.matrix.T + p
        return h, (h,)


class Logistic(Cell):
    """h' = 4 h (1 - h), whose exponent is log 2."""

    input_size = hidden_size = output_size = 1

    def initial_state(self, batch_size: int) -> State:
        return (torch.full((batch_size, 1), 0.3, dtype=torch.float64),)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = 4 * state[0] * (1 - state[0]) + 0 * p
        return h, (h,)


class DelayLine(Linear):
    """Unit k holds the input of k steps ago."""

    def __init__(self, units: int):
        super().__init__(torch.diag(torch.ones(units - 1), -1))
        self.input_size = 1

    def project(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(*x.shape[:-1], self.hidden_size - 1)], -1)


def record(cell: Cell, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Recording]:
    with recording(cell) as noted:
        outputs, _ = cell.scan(x, None, lengths)
    return outputs, noted


@pytest.mark.parametrize(
    "matrix",
    [
        torch.tensor([[0.9, 2.0, 0.0], [0.0, 0.5, 0.1], [0.0, 0.0, -0.3]]),
        torch.tensor([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 0.2]]) * 1.1,  # its largest two are complex
    ],
)
def test_a_linear_cell_has_the_values_of_its_matrix(matrix: Tensor) -> None:
    cell = Linear(matrix.double())
    _, noted = record(cell, torch.randn(2, 60, 3, dtype=torch.float64), torch.tensor([60, 50]))
    jacobian = Jacobian(noted, 20)
    singular = torch.linalg.svdvals(cell.matrix).max().expand(2)
    radius = torch.linalg.eigvals(cell.matrix).abs().max().expand(2)
    torch.testing.assert_close(dynamics.largest_singular_value(jacobian), singular)
    torch.testing.assert_close(dynamics.spectral_radius(jacobian), radius, rtol=0.01, atol=0)
    torch.testing.assert_close(dynamics.lyapunov_exponent(noted), radius.log(), rtol=0, atol=0.01)


def test_the_exponent_of_the_logistic_map_is_log_2() -> None:
    _, noted = record(Logistic(), torch.zeros(1, 1000, 1, dtype=torch.float64))
    assert dynamics.lyapunov_exponent(noted).item() == pytest.approx(math.log(2), abs=0.02)


@pytest.mark.parametrize("name", ["lstm", "gru", "s_lstm", "clockwork"])
def test_products_with_the_jacobian_are_finite_differences(name: str) -> None:
    cell = cell_factory(name)(3, 4).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    _, noted = record(cell, x)
    jacobian = Jacobian(noted, 3)
    v, u = torch.randn(2, *jacobian.size, dtype=torch.float64)

    def moved(by: float) -> Tensor:
        entered, start, parts = noted.entered[3], 0, []
        for part in entered:
            width = part.shape[1] if part.dim() > 1 else 0
            parts.append(part + by * v[:, start : start + width] if width else part)
            start += width
        return dynamics._vector(cell.step(cell.project(x[:, 3]), tuple(parts))[1])

    expected = (moved(1e-6) - moved(-1e-6)) / 2e-6
    torch.testing.assert_close(jacobian.times(v), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close((jacobian.transposed(u) * v).sum(1), (expected * u).sum(1), rtol=1e-5, atol=1e-7)


def test_gradients_by_lag_are_powers_of_the_weight() -> None:
    cell = Linear(torch.diag(torch.tensor([0.5], dtype=torch.float64)))
    lengths = torch.tensor([4, 2])
    with recording(cell) as noted:
        _, (h,) = cell.scan(torch.randn(2, 6, 1, dtype=torch.float64), None, lengths)
    found = dynamics.gradients_by_lag(h.sum(), noted)
    torch.testing.assert_close(found, 0.5 ** torch.arange(1.0, 5.0, dtype=torch.float64))
    norms = dynamics.state_norms(noted)
    torch.testing.assert_close(norms[2:4], noted.outputs[0, 2:4].detach().abs()[:, 0])
    torch.testing.assert_close(norms[:2], noted.outputs[:, :2].detach().abs().mean(0)[:, 0])


@pytest.mark.parametrize("name", names("cell"))
def test_every_cell_can_be_recorded_and_stays_as_it_was(name: str) -> None:
    cell = cell_factory(name)(3, 4).eval()
    x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 3])
    expected, random_state = cell.unroll(x, None, lengths)[0], torch.get_rng_state()
    outputs, noted = record(cell, x, lengths)
    assert torch.equal(outputs, expected)
    jacobian = Jacobian(noted, 2)
    for value in (dynamics.largest_singular_value(jacobian), dynamics.spectral_radius(jacobian)):
        assert value.isfinite().all()
    assert dynamics.gradients_by_lag(outputs.sum(), noted).shape == (5,)
    assert not dynamics.lyapunov_exponent(noted).isnan().any()
    for gate in noted.gates.values():
        assert gate.shape[:2] == (2, 5)
        assert ((gate >= 0) & (gate <= 1)).all()
    if noted.kept is not None:
        assert (dynamics.time_constants(noted.kept, noted.real) > 0).all()
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not {"scan", "coefficients"} & vars(cell).keys()
    assert all(parameter.grad is None for parameter in cell.parameters())


@pytest.mark.parametrize(
    ("name", "gates", "keeps"),
    [
        ("lstm", ["f", "i", "o"], "f"),
        ("peephole_lstm", ["f", "i", "o"], "f"),
        ("layer_norm_gru", ["r", "z"], "z"),
        ("gru_reset_before", ["r", "z"], "z"),
        ("mgu", ["f"], "1 - f"),
        ("janet", ["s", "2"], "s"),
        ("sru", ["f", "r"], "f"),
        ("qrnn", ["f", "o"], "f"),
        ("recurrent_highway_uncoupled", ["1", "2", "3", "4", "5", "6"], None),
    ],
)
def test_gates_are_named_by_their_letters(name: str, gates: list[str], keeps: str | None) -> None:
    cell = cell_factory(name)(3, 4)
    _, noted = record(cell, torch.randn(2, 5, 3))
    assert list(noted.gates) == gates
    if keeps is None:
        assert noted.kept is None
    else:
        gate = noted.gates[keeps[-1]]
        torch.testing.assert_close(noted.kept, 1 - gate if keeps.startswith("1 - ") else gate)


def test_the_gates_of_an_lstm_are_those_of_its_equations() -> None:
    cell = cell_factory("lstm")(3, 4)
    x = torch.randn(2, 5, 3)
    outputs, noted = record(cell, x)
    before = torch.cat([torch.zeros(2, 1, 4), outputs[:, :-1]], 1)
    i, f, _, o = (cell.project(x) + cell.recur(before)).sigmoid().chunk(4, -1)
    for letter, expected in (("i", i), ("f", f), ("o", o)):
        torch.testing.assert_close(noted.gates[letter], expected.detach())


def test_wrapped_cells_are_recorded() -> None:
    from seqzoo.cells.modified import Modifiers, modify

    cell = modify(cell_factory("gru")(3, 4), Modifiers(zoneout=0.1)).eval()
    _, noted = record(cell, torch.randn(2, 5, 3))
    assert list(noted.gates) == ["r", "z"]
    assert noted.kept is noted.gates["z"]


def test_saturation_and_time_constants_ignore_padding() -> None:
    gate = torch.tensor([[[0.05, 0.02], [0.95, 0.5], [0.0, 0.0]]])
    real = torch.tensor([[True, True, False]])
    assert dynamics.saturation(gate, real) == (0.5, 0.25)
    kept = torch.full((1, 3, 2), 0.5)
    torch.testing.assert_close(dynamics.time_constants(kept, real), torch.full((2,), 1 / math.log(2)).double())
    # of what was kept at two steps the product counts: log 1/2 + log 1/8 is twice log 1/4
    kept = torch.tensor([[[0.5, 0.25], [0.125, 0.25], [0.9, 0.9]]])
    torch.testing.assert_close(dynamics.time_constants(kept, real), torch.full((2,), 1 / math.log(4)).double())


def test_a_delay_line_remembers_as_many_steps_as_it_has_units() -> None:
    found = dynamics.memory_capacity(DelayLine(6))
    # the first unit holds the input of this very step
    torch.testing.assert_close(found[:5], torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert found[5:].max() < 0.05


def test_a_reservoir_remembers_less_than_it_has_units() -> None:
    capacity = float(dynamics.memory_capacity(cell_factory("echo_state")(3, 20)).sum())
    assert 3 < capacity < 20
