"""Variants of the GRU: limits in which they equal each other, and values computed by hand."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import seqzoo
from seqzoo.analysis.cell_checks import CHECKS, check_equation
from seqzoo.cells.elman import Elman
from seqzoo.cells.gated import GatedCell
from seqzoo.cells.gru import GRU
from seqzoo.cells.gru_d import GRUD
from seqzoo.cells.gru_reset_before import GRUResetBefore
from seqzoo.cells.li_gru import LiGRU
from seqzoo.cells.mgu import MGU
from seqzoo.cells.ugrnn import UGRNN
from tests.contracts.equations_gru_family import STEPS

B, T, INPUT, H = 3, 6, 4, 5
OPEN = 1e3  # a bias whose sigmoid is 1, and 0 with a minus, to the last bit
NAMES = ["gru_reset_before", "simplified_gru", "mgu", "ugrnn", "li_gru"]


def bias_gate(cell: GatedCell, number: int, value: float) -> None:
    with torch.no_grad():
        cell.bias_ih[number * H : (number + 1) * H] = value


def copy_gates(source: GatedCell, target: GatedCell, gates: list[int]) -> None:
    """The given gates of `source` become those of `target`, in order."""
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            parts = source.get_parameter(name).chunk(source.num_gates)
            target.get_parameter(name).copy_(torch.cat([parts[gate] for gate in gates]))


def random(cell: GatedCell) -> GatedCell:
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(std=0.5)
    return cell


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, T, INPUT, dtype=torch.float64)


@pytest.fixture
def state() -> tuple[Tensor]:
    return (torch.randn(B, H, dtype=torch.float64),)


def test_an_open_reset_gate_makes_both_grus_one(x: Tensor, state: tuple[Tensor]) -> None:
    before, after, without = random(GRUResetBefore(INPUT, H)), GRU(INPUT, H).double(), UGRNN(INPUT, H).double()
    bias_gate(before, 0, OPEN)
    copy_gates(before, after, [0, 1, 2])
    copy_gates(before, without, [1, 2])
    torch.testing.assert_close(before.scan(x, state)[0], after.scan(x, state)[0])
    torch.testing.assert_close(before.scan(x, state)[0], without.scan(x, state)[0])


def test_a_closed_reset_gate_tells_them_apart(x: Tensor, state: tuple[Tensor]) -> None:
    """Reset before the product leaves the bias of the recurrent product; after it, not even that."""
    before = random(GRUResetBefore(INPUT, H))
    bias_gate(before, 0, -OPEN)
    bias_gate(before, 1, -OPEN)
    weight, bias = before.weight_ih[2 * H :], before.bias_ih[2 * H :]
    expected = torch.tanh(F.linear(x, weight, bias) + before.bias_hh[2 * H :])
    torch.testing.assert_close(before.scan(x, state)[0], expected)


@pytest.mark.parametrize("cell", [GRUResetBefore(INPUT, H), UGRNN(INPUT, H), LiGRU(INPUT, H)])
def test_an_update_gate_of_one_keeps_the_state(cell: GatedCell, x: Tensor, state: tuple[Tensor]) -> None:
    cell = random(cell)
    bias_gate(cell, cell.num_gates - 2, OPEN)
    torch.testing.assert_close(cell.scan(x, state)[1], state)


def test_an_mgu_keeps_or_is_elman(x: Tensor, state: tuple[Tensor]) -> None:
    cell, elman = random(MGU(INPUT, H)), Elman(INPUT, H).double()
    copy_gates(cell, elman, [1])
    bias_gate(cell, 0, -OPEN)
    torch.testing.assert_close(cell.scan(x, state)[1], state)
    bias_gate(cell, 0, OPEN)
    torch.testing.assert_close(cell.scan(x, state)[0], elman.scan(x, state)[0])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_closed_gate_makes_ugrnn_an_elman(activation: str, x: Tensor, state: tuple[Tensor]) -> None:
    cell, elman = random(UGRNN(INPUT, H, activation=activation)), Elman(INPUT, H, activation=activation).double()
    copy_gates(cell, elman, [1])
    bias_gate(cell, 0, -OPEN)
    torch.testing.assert_close(cell.scan(x, state)[0], elman.scan(x, state)[0])


def test_gru_d_with_channels_is_the_papers() -> None:
    create = functools.partial(GRUD, channels=1)
    check_equation(create, STEPS["gru_d"], {"channels": 1, "activation": "tanh"})
    for check in ("scan", "gradcheck"):
        CHECKS[check](create)
    with pytest.raises(ValueError, match="channels is 2: each is a value, a mask and a time, and a step has 5"):
        GRUD(5, H, channels=2)


def test_what_gru_d_has_not_seen_for_long_decays_to_the_mean() -> None:
    cell = GRUD(3, H, channels=1)
    with torch.no_grad():
        cell.weight_g.fill_(1.0)
        cell.weight_ih[:, 2] = 0  # gates that do not read the time
    old, mean = torch.tensor([[5.0, 0.0, 1e3]]), torch.tensor([[0.0, 0.0, 1e3]])
    state, zeros = (torch.ones(1, H),), (torch.zeros(1, H),)
    torch.testing.assert_close(cell(old, state)[0], cell(mean, zeros)[0])
    current = torch.tensor([[5.0, 1.0, 1e3]])
    assert not torch.allclose(cell(current, zeros)[0], cell(torch.tensor([[0.0, 1.0, 1e3]]), zeros)[0])


def test_one_unit_by_hand() -> None:
    cell = GRUResetBefore(1, 1)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[1.0], [0.5], [2.0]]))
        cell.weight_hh.copy_(torch.tensor([[-1.0], [1.0], [3.0]]))
    r, z = 1 / (1 + math.exp(-(0.2 - 0.5))), 1 / (1 + math.exp(-(0.1 + 0.5)))
    n = math.tanh(0.4 + 3 * r * 0.5)
    h, _ = cell(torch.tensor([[0.2]]), (torch.tensor([[0.5]]),))
    assert h.item() == pytest.approx((1 - z) * n + z * 0.5, abs=1e-6)


def test_where_the_gates_start() -> None:
    for name, expected in (("ugrnn", 1.0), ("simplified_gru", 0.0), ("li_gru", 0.0)):
        cell = seqzoo.create_cell(name, INPUT, H)
        assert cell.bias_ih[:H].tolist() == [expected] * H
        assert cell.bias_ih[H:].tolist() == [0.0] * H


def test_the_recurrent_weights_start_orthogonal_gate_by_gate() -> None:
    for name in NAMES:
        cell = seqzoo.create_cell(name, INPUT, H)
        for gate in cell.weight_hh.chunk(cell.num_gates):
            torch.testing.assert_close(gate @ gate.T, torch.eye(H))


@pytest.mark.parametrize("name", NAMES)
def test_layer_norm_makes_the_scale_of_the_input_weights_irrelevant(name: str, x: Tensor) -> None:
    cell = random(seqzoo.create_cell(name, INPUT, H, layer_norm=True))
    expected = cell.scan(1e3 * x)[0]
    with torch.no_grad():
        cell.weight_ih.mul_(100)
    torch.testing.assert_close(cell.scan(1e3 * x)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", [GRUResetBefore(INPUT, H, layer_norm=True), MGU(INPUT, H, layer_norm=True)])
def test_the_two_products_of_the_state_are_normalised_apart(cell: GatedCell, x: Tensor, state: tuple[Tensor]) -> None:
    """The scale of the candidate does not affect the gates, nor vice versa."""
    cell = random(cell)
    assert cell(1e3 * x[:, 0], state)[0].isfinite().all()
    large = (1e4 * state[0],)
    gates, last = cell.recur_gates(large[0]), cell.recur_last(large[0])
    with torch.no_grad():
        cell.weight_hh[-H:] *= 50
    torch.testing.assert_close(cell.recur_gates(large[0]), gates)
    torch.testing.assert_close(cell.recur_last(large[0]), last, rtol=1e-5, atol=1e-5)


def test_without_layer_norm_a_light_gru_is_a_relu_ugrnn(x: Tensor, state: tuple[Tensor]) -> None:
    light, other = random(LiGRU(INPUT, H, layer_norm=False)), UGRNN(INPUT, H, activation="relu").double()
    other.load_state_dict(light.state_dict())
    torch.testing.assert_close(light.scan(x, state)[0], other.scan(x, state)[0])
