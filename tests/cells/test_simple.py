"""Properties of the simple cells, and values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import seqzoo
from seqzoo.cells.antisymmetric import Antisymmetric
from seqzoo.cells.cell import Cell
from seqzoo.cells.co_rnn import CoRNN
from seqzoo.cells.elman import Elman
from seqzoo.cells.ind_rnn import IndRNN
from seqzoo.cells.jordan import Jordan
from seqzoo.cells.lem import LEM
from seqzoo.cells.unitary import Unitary

B, T, INPUT, H = 3, 6, 4, 5
LENGTHS = torch.tensor([6, 0, 3])


def random(cell: Cell) -> Cell:
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(std=0.5)
    return cell


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, T, INPUT, dtype=torch.float64)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# irnn


def test_irnn_starts_by_adding_up_its_input() -> None:
    cell = seqzoo.create_cell("irnn", INPUT, H)
    torch.testing.assert_close(cell.weight_hh.detach(), torch.eye(H))
    assert cell.weight_ih.abs().max() < 0.01
    h = torch.rand(B, H)
    _, (after,) = cell.scan(torch.zeros(B, 100, INPUT), (h,))
    torch.testing.assert_close(after, h, rtol=0, atol=0)


# jordan


@pytest.mark.parametrize("output_size", [None, 1, 7])
def test_teacher_forcing_is_stepping_with_the_right_outputs_put_in(x: Tensor, output_size: int | None) -> None:
    cell = random(Jordan(INPUT, H, output_size=output_size))
    first, right = noise(B, cell.output_size), noise(B, T, cell.output_size)
    parallel, (after,) = cell.scan_forced(x, right, (first,))
    stepped = [cell(x[:, t], (right[:, t - 1] if t else first,))[0] for t in range(T)]
    torch.testing.assert_close(parallel, torch.stack(stepped, 1))
    torch.testing.assert_close(after, right[:, -1])

    padded, (after,) = cell.scan_forced(x, right, (first,), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(padded[row, :length], parallel[row, :length])
        assert (padded[row, length:] == 0).all()
        torch.testing.assert_close(after[row], right[row, length - 1] if length else first[row])


def test_its_own_outputs_as_the_right_ones_give_its_own_outputs(x: Tensor) -> None:
    cell = random(Jordan(INPUT, H, output_size=2, activation="sigmoid", output_activation="identity"))
    outputs, after = cell.scan(x)
    forced, forced_after = cell.scan_forced(x, outputs)
    torch.testing.assert_close(forced, outputs)
    torch.testing.assert_close(forced_after, after)


def test_no_gradient_passes_through_time_under_teacher_forcing(x: Tensor) -> None:
    cell = random(Jordan(INPUT, H))
    x.requires_grad_()
    outputs, _ = cell.scan_forced(x, noise(B, T, H))
    (gradient,) = torch.autograd.grad(outputs[:, 3].sum(), x)
    assert (gradient[:, 3] != 0).all()
    assert (gradient[:, [0, 1, 2, 4, 5]] == 0).all()


def test_the_hidden_layer_is_no_part_of_the_state(x: Tensor) -> None:
    """Two cells with the same outputs so far continue in the same way: only the output is remembered."""
    cell = random(Jordan(INPUT, H, output_size=1))
    with torch.no_grad():
        cell.weight_hy.zero_()
    outputs, (after,) = cell.scan(x)
    assert after.shape == (B, 1)
    torch.testing.assert_close(outputs, torch.tanh(cell.bias_y).expand(B, T, 1))


# ind_rnn


def test_ind_rnn_by_hand() -> None:
    cell = IndRNN(1, 2)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[1.0], [-1.0]]))
        cell.weight_hh.copy_(torch.tensor([0.5, 2.0]))
        cell.bias.copy_(torch.tensor([0.25, 0.0]))
    outputs, _ = cell.scan(torch.tensor([[[1.0], [2.0]]]), (torch.tensor([[2.0, 3.0]]),))
    assert outputs.tolist() == [[[2.25, 5.0], [3.375, 8.0]]]


def test_units_of_ind_rnn_do_not_see_each_other(x: Tensor) -> None:
    cell, h = random(IndRNN(INPUT, H, activation="tanh")), noise(B, H)
    jacobian = torch.autograd.functional.jacobian(lambda h: cell.scan(x, (h,))[1][0][0], h)[:, 0]
    assert (jacobian.diag() != 0).all()
    assert (jacobian - jacobian.diag().diag() == 0).all()


def test_a_horizon_holds_the_gradient_below_two() -> None:
    steps = 20
    cell = IndRNN(1, H, horizon=steps)
    assert (cell.weight_hh <= 2 ** (1 / steps)).all()
    with torch.no_grad():
        cell.weight_hh.copy_(torch.tensor([3.0, -3.0, 1.01, 0.5, 0.0]))
    h = torch.ones(1, H, requires_grad=True)
    _, (after,) = cell.scan(torch.zeros(1, steps, 1), (h,))
    (gradient,) = torch.autograd.grad(after.sum(), h)
    torch.testing.assert_close(gradient[0], torch.tensor([2.0, 0.0, 1.01**steps, 0.5**steps, 0.0]))


# antisymmetric


def test_the_recurrence_of_antisymmetric_has_no_growing_direction() -> None:
    cell = random(Antisymmetric(INPUT, 12, gamma=0.25))
    eigenvalues = torch.linalg.eigvals(cell.recurrence())
    torch.testing.assert_close(eigenvalues.real, torch.full((12,), -0.25, dtype=torch.float64))
    assert eigenvalues.imag.abs().max() > 0.5


def test_a_small_euler_step_of_antisymmetric_keeps_the_gradient() -> None:
    """After 200 steps no direction of the gradient has vanished or exploded, at any size of the weights."""
    cell = random(Antisymmetric(INPUT, H, epsilon=0.01, gamma=0.0, gating=False))
    x = torch.zeros(1, 200, INPUT, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda h: cell.scan(x, (h,))[1][0][0], noise(1, H))[:, 0]
    sizes = torch.linalg.svdvals(jacobian)
    assert sizes.min() > 0.2
    assert sizes.max() < 5


def test_an_open_gate_has_no_effect(x: Tensor) -> None:
    gated, plain = random(Antisymmetric(INPUT, H)), Antisymmetric(INPUT, H, gating=False).double()
    with torch.no_grad():
        gated.bias[H:] = 1e3
        plain.weight_ih.copy_(gated.weight_ih[:H])
        plain.bias.copy_(gated.bias[:H])
        plain.skew.copy_(gated.skew)
    h = noise(B, H)
    torch.testing.assert_close(gated.scan(x, (h,))[0], plain.scan(x, (h,))[0])


def test_antisymmetric_by_hand() -> None:
    cell = Antisymmetric(1, 2, epsilon=0.5, gamma=0.1, gating=False)
    with torch.no_grad():
        cell.weight_ih.fill_(1.0)
        cell.skew.fill_(2.0)
    h, _ = cell(torch.tensor([[0.3]]), (torch.tensor([[1.0, -1.0]]),))
    expected = [1 + 0.5 * math.tanh(0.3 - 0.1 - 2), -1 + 0.5 * math.tanh(0.3 - 2 + 0.1)]
    assert h[0].tolist() == pytest.approx(expected, abs=1e-6)


# co_rnn


def test_co_rnn_with_all_constants_one_is_elman(x: Tensor) -> None:
    """Then y' = y + z + tanh(...) - y - z: the oscillator terms cancel."""
    cell, elman = random(CoRNN(INPUT, H, dt=1.0, gamma=1.0, epsilon=1.0)), Elman(INPUT, H).double()
    with torch.no_grad():
        cell.weight_hh[:, H:] = 0
        elman.weight_ih.copy_(cell.weight_ih)
        elman.weight_hh.copy_(cell.weight_hh[:, :H])
        elman.bias_ih.copy_(cell.bias)
    y = noise(B, H)
    torch.testing.assert_close(cell.scan(x, (y, noise(B, H)))[0][:, 1:], elman.scan(x, (y,))[0][:, 1:])


def test_an_undriven_oscillator_swings_at_its_frequency() -> None:
    """y'' = -gamma y - epsilon y' from y = 1 at rest, whose solution is known."""
    dt, gamma, epsilon, steps = 1e-3, 4.0, 0.5, 2000
    cell = CoRNN(1, 1, dt=dt, gamma=gamma, epsilon=epsilon).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    start = (torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    outputs, _ = cell.scan(torch.zeros(1, steps, 1, dtype=torch.float64), start)
    time = dt * torch.arange(1, steps + 1, dtype=torch.float64)
    frequency = math.sqrt(gamma - epsilon**2 / 4)
    swing = torch.cos(frequency * time) + epsilon / (2 * frequency) * torch.sin(frequency * time)
    torch.testing.assert_close(outputs[0, :, 0], torch.exp(-epsilon / 2 * time) * swing, rtol=0, atol=3e-3)


# lem


def test_lem_by_hand() -> None:
    cell = LEM(1, 1, dt=0.5)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[1.0], [2.0], [0.5], [-1.0]]))
        cell.weight_hh.copy_(torch.tensor([[1.0], [0.0], [2.0], [3.0]]))
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
    d, e = 0.5 / (1 + math.exp(-(0.4 + 0.3))), 0.5 / (1 + math.exp(-0.8))
    z = (1 - d) * -0.2 + d * math.tanh(0.2 + 0.6)
    y = (1 - e) * 0.3 + e * math.tanh(-0.4 + 3 * z)
    output, state = cell(torch.tensor([[0.4]]), (torch.tensor([[0.3]]), torch.tensor([[-0.2]])))
    assert output is state[0]
    assert [part.item() for part in state] == pytest.approx([y, z], abs=1e-6)


def test_closed_time_steps_of_lem_keep_both_states(x: Tensor) -> None:
    cell = random(LEM(INPUT, H))
    with torch.no_grad():
        cell.bias_ih[: 2 * H] = -1e3
    state = (noise(B, H), noise(B, H))
    torch.testing.assert_close(cell.scan(x, state)[1], state)


def test_lem_stays_within_one(x: Tensor) -> None:
    outputs, state = random(LEM(INPUT, H)).scan(100 * x)
    assert max(part.abs().max() for part in (outputs, *state)) <= 1


def test_layer_norm_in_lem(x: Tensor) -> None:
    cell = random(LEM(INPUT, H, layer_norm=True))
    outputs, _ = cell.scan(x)
    gradients = torch.autograd.grad(outputs.sum(), list(cell.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


# unitary


@pytest.mark.parametrize("initialisation", ["henaff", "cayley"])
@pytest.mark.parametrize("size", [1, 2, 5, 32])
def test_the_recurrence_of_unitary_is_orthogonal(initialisation: str, size: int) -> None:
    cell = Unitary(INPUT, size, initialisation=initialisation).double()
    identity = torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(cell.recurrence() @ cell.recurrence().T, identity)
    random(cell)
    torch.testing.assert_close(cell.recurrence() @ cell.recurrence().T, identity)
    torch.testing.assert_close(torch.linalg.det(cell.recurrence()), torch.tensor(1.0, dtype=torch.float64))


def test_training_moves_the_recurrence_but_not_out_of_the_group() -> None:
    cell = Unitary(INPUT, H)
    before = cell.recurrence().detach()
    optimiser = torch.optim.Adam(cell.parameters(), lr=0.3)
    x, target = torch.randn(B, T, INPUT), torch.randn(B, T, H)
    for _ in range(50):
        optimiser.zero_grad()
        (cell.scan(x)[0] - target).square().mean().backward()
        assert cell.skew.grad.isfinite().all()
        assert (cell.skew.grad != 0).all()
        optimiser.step()
    after = cell.recurrence().detach()
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(after @ after.T, torch.eye(H), rtol=0, atol=1e-5)


def test_the_start_turns_pairs_of_units() -> None:
    angles = {}
    for initialisation in ("henaff", "cayley"):
        cell = Unitary(INPUT, 6, initialisation=initialisation)
        cell.reset_parameters()
        matrix = cell.skew_matrix()
        pairs = torch.block_diag(*[torch.ones(2, 2)] * 3)
        assert (matrix * (1 - pairs) == 0).all()
        angle = angles[initialisation] = torch.stack([matrix[k, k + 1] for k in (0, 2, 4)])
        block = cell.recurrence()[:2, :2]
        turn = torch.stack([angle[0].cos(), angle[0].sin(), -angle[0].sin(), angle[0].cos()]).view(2, 2)
        torch.testing.assert_close(block, turn)
    assert (angles["henaff"].abs() <= math.pi).all()
    assert ((angles["cayley"] <= 0) & (angles["cayley"] >= -math.tan(math.pi / 4))).all()


def test_without_modrelus_bias_unitary_keeps_the_length_of_its_state_and_gradient() -> None:
    cell = random(Unitary(INPUT, H))
    with torch.no_grad():
        cell.bias.zero_()
    x, h = torch.zeros(1, 300, INPUT, dtype=torch.float64), noise(1, H).requires_grad_()
    _, (after,) = cell.scan(x, (h,))
    torch.testing.assert_close(after.norm(), h.norm())
    direction = noise(1, H)
    (gradient,) = torch.autograd.grad(after, h, direction)
    torch.testing.assert_close(gradient.norm(), direction.norm())


def test_the_exponential_is_computed_once_a_sequence(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, calls, exponential = random(Unitary(INPUT, H)), [], torch.matrix_exp
    monkeypatch.setattr(torch, "matrix_exp", lambda matrix: calls.append(1) or exponential(matrix))
    cell.engine = "torch"
    cell.scan(x)
    assert len(calls) == 1


def test_unitary_in_half_precision() -> None:
    cell = Unitary(INPUT, H).bfloat16()
    outputs, _ = cell.scan(torch.randn(B, T, INPUT, dtype=torch.bfloat16))
    outputs.sum().backward()
    assert outputs.dtype == torch.bfloat16
    assert cell.skew.grad.isfinite().all()


# options


@pytest.mark.parametrize(
    ("constructor", "options", "sentence"),
    [
        (Antisymmetric, {"epsilon": 0.0}, "epsilon is 0.0"),
        (Antisymmetric, {"gamma": -1.0}, "gamma is -1.0"),
        (CoRNN, {"dt": 0.0}, "dt is 0.0"),
        (CoRNN, {"gamma": -2.0}, "gamma is -2.0"),
        (CoRNN, {"epsilon": 0.0}, "epsilon is 0.0"),
        (IndRNN, {"horizon": 0}, "horizon is 0"),
        (Jordan, {"output_size": 0}, "output_size is 0"),
        (LEM, {"dt": -1.0}, "dt is -1.0"),
    ],
)
def test_bad_options_are_named(constructor: type[Cell], options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        constructor(INPUT, H, **options)
