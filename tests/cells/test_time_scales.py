"""Cells with time scales of their own."""

from __future__ import annotations

import math

import pytest
import torch

import seqzoo
from seqzoo.analysis.cell_checks import check_equation, check_scan_equals_stepping
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.composing import load
from seqzoo.contracts.errors import ConfigError
from tests.contracts.steps import STEPS


def test_a_leaky_unit_falls_to_one_over_e_in_its_time_constant() -> None:
    cell = seqzoo.create_cell("leaky", 1, 3, tau_min=1.0, tau_max=100.0)
    with torch.no_grad():
        cell.weight_hh.zero_()
    outputs, _ = cell.scan(torch.zeros(1, 100, 1), (torch.ones(1, 3),))
    for unit, tau in enumerate((1, 10, 100)):
        torch.testing.assert_close(outputs[0, tau - 1, unit].item(), math.exp(-1), rtol=1e-4, atol=0)


def test_leaky_units_without_memory_are_elmans() -> None:
    cell, elman = seqzoo.create_cell("leaky", 3, 5, tau_min=0.01, tau_max=0.01), seqzoo.create_cell("elman", 3, 5)
    elman.load_state_dict(cell.state_dict(), strict=False)
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(cell.scan(x)[0], elman.scan(x)[0])


def test_time_constants_learn_where_they_may() -> None:
    fixed, learned = seqzoo.create_cell("leaky", 3, 5), seqzoo.create_cell("leaky_learned", 3, 5)
    assert "log_tau" in dict(fixed.named_buffers())
    assert "log_tau" in dict(learned.named_parameters())
    torch.testing.assert_close(fixed.log_tau, learned.log_tau.detach())
    (slope,) = torch.autograd.grad(learned.scan(torch.randn(2, 9, 3))[0].sum(), learned.log_tau)
    assert (slope != 0).all()


def test_leaky_has_layer_norm() -> None:
    cell = seqzoo.create_cell("leaky", 3, 5, layer_norm=True)
    assert "norm_hh.weight" in cell.state_dict()
    cell.scan(torch.randn(2, 4, 3))


def test_clockwork_modules_change_at_multiples_of_their_period() -> None:
    cell = seqzoo.create_cell("clockwork", 3, 8, num_modules=4)
    outputs, (_, t) = cell.scan(torch.randn(2, 32, 3))
    changed = (outputs[:, 1:] != outputs[:, :-1]).all(0)
    for step in range(1, 32):
        expected = [step % 2**module == 0 for module in range(4) for _ in range(2)]
        assert changed[step - 1].tolist() == expected
    assert t.tolist() == [0.0, 0.0]


def test_slow_modules_do_not_read_fast_ones() -> None:
    cell = seqzoo.create_cell("clockwork", 3, 6, num_modules=3)
    h = torch.zeros(1, 6, requires_grad=True)
    output, _ = cell(torch.zeros(1, 3), (h, torch.zeros(1)))
    heard = torch.stack([torch.autograd.grad(unit, h, retain_graph=True)[0][0] != 0 for unit in output[0]])
    module = torch.arange(6) // 2
    assert torch.equal(heard, module[:, None] <= module)


def test_rows_of_clockwork_have_clocks_of_their_own() -> None:
    """A padded row continues at the step where it stopped."""
    cell = seqzoo.create_cell("clockwork", 3, 5)
    x = torch.randn(2, 10, 3)
    _, state = cell.scan(x, None, torch.tensor([10, 3]))
    assert state[1].tolist() == [2.0, 3.0]
    whole, _ = cell.scan(torch.cat([x[1:, :3], x[1:]], 1))
    torch.testing.assert_close(cell.scan(x, state)[0][1], whole[0, 3:])


def test_clockwork_with_one_module_is_elman() -> None:
    cell, elman = seqzoo.create_cell("clockwork", 3, 5, num_modules=1), seqzoo.create_cell("elman", 3, 5)
    elman.load_state_dict(cell.state_dict())
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(cell.scan(x)[0], elman.scan(x)[0])


def test_clockwork_counts_in_half_precision_and_with_few_units() -> None:
    cell = seqzoo.create_cell("clockwork", 3, 9, num_modules=20).bfloat16()
    assert cell.num_modules == 9
    _, (_, t) = cell.scan(torch.randn(1, 600, 3).bfloat16())
    assert t.item() == 600 % 256


@pytest.mark.parametrize(
    ("size", "radius", "connectivity"), [(1, 0.5, 0.1), (5, 0.9, 0.1), (200, 1.3, 0.05), (50, 0.8, 1.0)]
)
def test_the_spectral_radius_is_obeyed(size: int, radius: float, connectivity: float) -> None:
    for _ in range(5):
        cell = seqzoo.create_cell("echo_state", 3, size, spectral_radius=radius, connectivity=connectivity)
        assert torch.linalg.eigvals(cell.weight_hh.double()).abs().max().item() == pytest.approx(radius, rel=1e-5)
        assert ((cell.weight_hh != 0).sum(1) == max(1, round(connectivity * size))).all()


def test_a_reservoir_has_nothing_to_train_and_is_saved() -> None:
    cell = seqzoo.create_cell("echo_state", 3, 20)
    assert not cell.trainable
    assert not list(cell.parameters())
    torch.manual_seed(5)
    one = seqzoo.create_cell("echo_state", 3, 20)
    torch.manual_seed(5)
    two = seqzoo.create_cell("echo_state", 3, 20)
    assert set(one.state_dict()) == {"weight_ih", "weight_hh", "bias"}
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
        assert not torch.equal(value, cell.state_dict()[name])


def test_a_reservoir_forgets_its_first_state() -> None:
    """The echo state property."""
    cell = seqzoo.create_cell("echo_state", 1, 100, leak=0.5)
    x = torch.rand(1, 300, 1)
    first, other = cell.scan(x)[0], cell.scan(x, (torch.randn(1, 100),))[0]
    assert (first[:, 0] - other[:, 0]).abs().max() > 0.1
    assert (first[:, -1] - other[:, -1]).abs().max() < 1e-5


def test_a_shut_highway_keeps_its_state() -> None:
    cell = seqzoo.create_cell("recurrent_highway", 3, 5, transform_bias=-200.0)
    h = torch.randn(2, 5)
    assert torch.equal(cell.scan(torch.randn(2, 9, 3), (h,))[1][0], h)


def test_an_open_highway_of_depth_one_is_elman() -> None:
    cell, elman = seqzoo.create_cell("recurrent_highway", 3, 5, depth=1), seqzoo.create_cell("elman", 3, 5)
    with torch.no_grad():
        cell.bias_hh[:, 5:] = 200.0
        elman.weight_ih.copy_(cell.weight_ih[:5])
        elman.weight_hh.copy_(cell.weight_hh[0, :5])
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(cell.scan(x)[0], elman.scan(x)[0])


@pytest.mark.parametrize("name", ["recurrent_highway", "recurrent_highway_uncoupled"])
def test_a_highway_normalises_each_layer_by_itself(name: str) -> None:
    create = cell_factory(name, layer_norm=True)
    check_equation(create, STEPS[name], {**load("cell", name), "layer_norm": True})
    check_scan_equals_stepping(create)
    assert len(create(3, 5).norm_hh) == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("leaky", {"tau_min": 0.0}, "tau_min"),
        ("leaky", {"tau_min": 9.0, "tau_max": 3.0}, "tau_max"),
        ("clockwork", {"num_modules": 0}, "num_modules"),
        ("clockwork", {"num_modules": 26}, "num_modules"),
        ("echo_state", {"spectral_radius": 0.0}, "spectral_radius"),
        ("echo_state", {"input_scale": -1.0}, "input_scale"),
        ("echo_state", {"leak": 1.5}, "leak"),
        ("echo_state", {"connectivity": 0.0}, "connectivity"),
        ("echo_state", {"bias_scale": -0.1}, "bias_scale"),
        ("recurrent_highway", {"depth": 0}, "depth"),
    ],
)
def test_bad_values_are_reported(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        seqzoo.create_cell(name, 3, 5, **options)


def test_output_feedback_has_a_scale_of_its_own() -> None:
    torch.manual_seed(1)
    plain = seqzoo.create_cell("echo_state", 3, 200, input_scale=0.5)
    torch.manual_seed(1)
    cell = seqzoo.create_cell("echo_state", 3, 200, input_scale=0.5, feedback_size=1, feedback_scale=0.01)
    assert torch.equal(cell.weight_ih[:, :2], plain.weight_ih[:, :2])
    assert 0.009 < cell.weight_ih[:, 2].abs().max() <= 0.01
    assert torch.equal(cell.weight_hh, plain.weight_hh)
    with pytest.raises(ConfigError, match="feedback_size is 4: it must be 0 to the number of inputs, here 3"):
        seqzoo.create_cell("echo_state", 3, 200, feedback_size=4)
