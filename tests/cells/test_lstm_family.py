"""Variants of the LSTM: limits in which they equal it, and what differs."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.cells.coupled_lstm import CoupledLSTM
from seqzoo.cells.janet import Janet
from seqzoo.cells.lstm import LSTM
from seqzoo.cells.m_lstm import MLSTM
from seqzoo.cells.multiplicative_lstm import MultiplicativeLSTM
from seqzoo.cells.peephole_lstm import PeepholeLSTM
from seqzoo.cells.projected_lstm import ProjectedLSTM
from seqzoo.cells.s_lstm import SLSTM
from seqzoo.contracts.state import flatten
from tests.contracts.equations_variants import normalised

B, T, INPUT, H = 3, 6, 4, 6
LENGTHS = torch.tensor([6, 2, 0])
ALL = [MLSTM, SLSTM, CoupledLSTM, Janet, MultiplicativeLSTM, PeepholeLSTM, ProjectedLSTM]
NORMALISED = [SLSTM, CoupledLSTM, Janet, MultiplicativeLSTM, PeepholeLSTM, ProjectedLSTM]


def randomised(cell: Cell) -> Cell:
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell.double()


def some_input(*shape: int) -> Tensor:
    return torch.randn(*(shape or (B, T, INPUT)), dtype=torch.float64)


def sigmoid(a: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-a))


def copy_weights(source: Cell, target: Cell) -> None:
    """Every parameter that both have."""
    found = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in found:
                parameter.copy_(found[name])


def test_without_peepholes_it_is_the_lstm() -> None:
    peephole, lstm = PeepholeLSTM(INPUT, H).double(), LSTM(INPUT, H).double()
    copy_weights(lstm, peephole)
    x = some_input()
    torch.testing.assert_close(peephole.scan(x)[0], lstm.scan(x)[0])


def test_peepholes_see_the_old_cell_at_the_gates_that_change_it_and_the_new_one_at_the_output() -> None:
    cell = PeepholeLSTM(1, 1).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.peepholes.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
        cell.bias_ih[2] = 0.7  # g
    h, c = torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), 0.5, dtype=torch.float64)
    output, (_, following) = cell(torch.zeros(1, 1, dtype=torch.float64), (h, c))
    expected = 1 / (1 + math.exp(-1.0)) * 0.5 + 1 / (1 + math.exp(-0.5)) * math.tanh(0.7)
    assert following.item() == pytest.approx(expected)
    assert output.item() == pytest.approx(1 / (1 + math.exp(-3 * expected)) * math.tanh(expected))


def test_coupled_is_the_lstm_whose_input_gate_is_the_forget_gate_turned_over() -> None:
    coupled, lstm = randomised(CoupledLSTM(INPUT, H)), LSTM(INPUT, H).double()
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            f, g, o = coupled.get_parameter(name).chunk(3)
            parameter.copy_(torch.cat([-f, f, g, o]))
    x = some_input()
    torch.testing.assert_close(coupled.scan(x)[0], lstm.scan(x)[0])


@pytest.mark.parametrize(("forget_bias", "expected"), [(1e3, 0.3), (-1e3, math.tanh(0.2))])
def test_coupled_keeps_or_replaces(forget_bias: float, expected: float) -> None:
    cell = CoupledLSTM(1, 1, forget_bias).double()
    with torch.no_grad():
        cell.bias_hh[1] = 0.2
    zero = torch.zeros(1, 1, dtype=torch.float64)
    _, (_, c) = cell(zero, (zero, zero + 0.3))
    assert c.item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("projection_size", [1, 3, 5])
def test_projected_is_torchs(projection_size: int, dtype: torch.dtype) -> None:
    cell = ProjectedLSTM(INPUT, H, projection_size).to(dtype)
    theirs = nn.LSTM(INPUT, H, proj_size=projection_size, batch_first=True).to(dtype)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            theirs.get_parameter(f"{name}_l0").copy_(parameter)
    x = some_input().to(dtype)
    state = torch.randn(B, projection_size, dtype=dtype), torch.randn(B, H, dtype=dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "LSTM with projections")
        expected, (r, c) = theirs(x, (state[0][None], state[1][None]))
    for scan in (cell.scan, lambda *given: Cell.unroll(cell, *given)):
        outputs, (last_r, last_c) = scan(x, state)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(last_r, r[0])
        torch.testing.assert_close(last_c, c[0])


@pytest.mark.parametrize(("hidden_size", "expected"), [(1, 1), (5, 3), (8, 4)])
def test_the_projection_adapts_to_the_width(hidden_size: int, expected: int) -> None:
    cell = ProjectedLSTM(INPUT, hidden_size).double()
    outputs, (r, c) = cell.scan(some_input(), None, LENGTHS)
    assert cell.output_size == outputs.shape[2] == r.shape[1] == expected
    assert c.shape[1] == hidden_size


def test_a_projection_as_wide_as_the_cell_can_be_the_identity() -> None:
    cell, lstm = ProjectedLSTM(INPUT, H, H).double(), LSTM(INPUT, H).double()
    copy_weights(lstm, cell)
    with torch.no_grad():
        cell.weight_hr.copy_(torch.eye(H))
    x = some_input()
    torch.testing.assert_close(cell.scan(x)[0], lstm.scan(x)[0])


def test_multiplicative_is_the_lstm_where_the_input_does_not_change_the_transition() -> None:
    cell, lstm = MultiplicativeLSTM(INPUT, H).double(), LSTM(INPUT, H).double()
    copy_weights(lstm, cell)
    x = some_input()
    x[..., 0] = 1
    with torch.no_grad():
        cell.weight_mx.zero_()[:, 0] = 1
        cell.weight_mh.copy_(torch.eye(H))
    torch.testing.assert_close(cell.scan(x)[0], lstm.scan(x)[0])


def test_multiplicative_forgets_h_where_the_input_is_zero() -> None:
    cell = randomised(MultiplicativeLSTM(INPUT, H))
    c, x = some_input(B, H), torch.zeros(B, INPUT, dtype=torch.float64)
    torch.testing.assert_close(cell(x, (some_input(B, H), c))[0], cell(x, (some_input(B, H), c))[0])


def test_janet_without_beta_is_the_coupled_lstm_that_shows_its_cell() -> None:
    janet = randomised(Janet(INPUT, H, beta=0.0))
    coupled = CoupledLSTM(INPUT, H).double()
    with torch.no_grad():
        for name, parameter in coupled.named_parameters():
            f, g = janet.get_parameter(name).chunk(2)
            parameter.copy_(torch.cat([f, g, torch.zeros_like(g)]))
        coupled.bias_ih[2 * H :] = 1e3  # the output gate is open
    x, h = some_input(B, INPUT), 1e-4 * some_input(B, H)
    (output, _), (_, (_, c)) = janet(x, (h,)), coupled(x, (h, h))
    torch.testing.assert_close(output, c)


def test_janets_beta_is_what_is_added_to_the_input_gate() -> None:
    cell = Janet(1, 1, beta=2.0, forget_bias=0.5).double()
    with torch.no_grad():
        cell.bias_hh[1] = 0.3
    h = torch.full((1, 1), 0.4, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_hh.zero_()
    output, _ = cell(torch.zeros(1, 1, dtype=torch.float64), (h,))
    forget, keep_out = 1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(1.5))
    assert output.item() == pytest.approx(forget * 0.4 + (1 - keep_out) * math.tanh(0.3))


def without_stabiliser(gates: Tensor, forget_gate: str) -> tuple[Tensor, Tensor]:
    """The paper's first form of the two gates."""
    i, f = gates
    return torch.exp(i), torch.exp(f) if forget_gate == "exponential" else sigmoid(f)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exponential"])
def test_s_lstm_is_its_form_without_stabiliser(forget_gate: str) -> None:
    cell = randomised(SLSTM(INPUT, H, forget_gate=forget_gate))
    x = some_input()
    outputs, (_, last_c, last_n, m) = cell.scan(x)
    h = c = n = torch.zeros(B, H, dtype=torch.float64)
    for t in range(T):
        i, f, z, o = (x[:, t] @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh).chunk(4, 1)
        i, f = without_stabiliser((i, f), forget_gate)
        c, n = f * c + i * torch.tanh(z), f * n + i
        h = sigmoid(o) * c / n
        torch.testing.assert_close(outputs[:, t], h)
    torch.testing.assert_close(last_c * m.exp(), c)
    torch.testing.assert_close(last_n * m.exp(), n)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exponential"])
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_m_lstm_is_its_parallel_form(heads: int, forget_gate: str) -> None:
    """Attention whose weight of step s at step t is i_s f_{s+1} ... f_t, all steps at once and without stabiliser."""
    cell = randomised(MLSTM(INPUT, H, heads, forget_gate))
    x, size = some_input(), H // heads
    q, k, v, o, i, f = (x @ cell.weight_ih.T + cell.bias).split(cell.sizes, -1)
    q, k, v = (part.reshape(B, T, heads, size) for part in (q, k, v))
    i, f = without_stabiliser((i, f), forget_gate)
    logs = f.log().cumsum(1)
    decay = torch.exp(logs[:, :, None] - logs[:, None]) * i[:, None]  # (B, t, s, heads)
    scores = torch.einsum("bthd,bshd->btsh", q, k) / size**0.5 * decay
    scores = scores * torch.ones(T, T, dtype=torch.float64).tril()[..., None]
    expected = torch.einsum("btsh,bshd->bthd", scores, v) / scores.sum(2).abs().clamp(min=1)[..., None]
    torch.testing.assert_close(cell.scan(x)[0], sigmoid(o) * expected.flatten(2))


def test_heads_of_s_lstm_do_not_see_each_other() -> None:
    cell, whole = randomised(SLSTM(INPUT, H, heads=2)), SLSTM(INPUT, H).double()
    gates = [torch.block_diag(*rows.chunk(2)) for rows in cell.weight_hh.detach().chunk(4)]
    whole.load_state_dict({**cell.state_dict(), "weight_hh": torch.cat(gates)})
    x = some_input()
    torch.testing.assert_close(cell.scan(x)[0], whole.scan(x)[0])


def test_normalised_heads_are_normalised_over_all_gates() -> None:
    cell = randomised(SLSTM(INPUT, H, heads=2, layer_norm=True))
    h = some_input(B, H)
    gates = [torch.block_diag(*rows.chunk(2)) for rows in cell.weight_hh.detach().chunk(4)]
    products = (h @ torch.cat(gates).T).numpy()
    expected = normalised(products, cell.norm_hh.weight.detach().numpy()) + cell.bias_hh.detach().numpy()
    np.testing.assert_allclose(cell.recur(h).detach().numpy(), expected)


@pytest.mark.parametrize("constructor", [SLSTM, MLSTM])
@pytest.mark.parametrize("forget_gate", ["sigmoid", "exponential"])
@pytest.mark.parametrize("scale", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("forget", [-1000.0, 1000.0])
def test_the_stabiliser_holds_extreme_gates(
    constructor: type[Cell], forget_gate: str, scale: float, forget: float
) -> None:
    """In float32 exp(100) is infinite and exp(-110) zero; outputs and gradients must be neither lost nor infinite."""
    cell = constructor(INPUT, H, forget_gate=forget_gate)
    i, f = (slice(0, H), slice(H, 2 * H)) if constructor is SLSTM else (slice(-2, -1), slice(-1, None))
    bias = cell.get_parameter("bias_ih" if constructor is SLSTM else "bias")
    with torch.no_grad():
        bias[i], bias[f] = scale, forget
    x = torch.randn(B, 20, INPUT, requires_grad=True)
    outputs, after = cell.scan(x)
    sum(part.sum() for part in (outputs, *flatten(after))).backward()
    assert all(part.isfinite().all() for part in (outputs, *flatten(after)))
    assert all(parameter.grad.isfinite().all() for parameter in [x, *cell.parameters()])


def test_the_first_input_of_s_lstm_is_stored_however_small_its_gate() -> None:
    cell = SLSTM(INPUT, H).double()
    x = some_input(B, INPUT)
    before, _ = cell(x)
    with torch.no_grad():
        cell.bias_ih[:H] = -500
    torch.testing.assert_close(cell(x)[0], before)
    assert (before != 0).all()


def test_s_lstm_puts_out_a_gated_mean_of_what_it_read() -> None:
    cell = randomised(SLSTM(INPUT, H))
    _, (h, c, n, _) = cell.scan(10 * some_input(B, 50, INPUT))
    assert (n >= 1).all()
    assert (c.abs() <= n).all()
    assert (h.abs() <= 1).all()


@pytest.mark.parametrize("constructor", NORMALISED)
def test_layer_norm_changes_the_step_and_scans(constructor: type[Cell]) -> None:
    cell = randomised(constructor(INPUT, H, layer_norm=True))
    plain = constructor(INPUT, H).double()
    plain.load_state_dict(cell.state_dict(), strict=False)
    x = some_input()
    outputs, _ = cell.scan(x, None, LENGTHS)
    torch.testing.assert_close(outputs, Cell.unroll(cell, x, None, LENGTHS)[0])
    assert not torch.allclose(outputs, plain.scan(x, None, LENGTHS)[0])
    # gates do not feel how large an input is
    larger, _ = cell(1e6 * x[:, 0])
    torch.testing.assert_close(larger, cell(1e8 * x[:, 0])[0])


@pytest.mark.parametrize("constructor", ALL)
def test_double_backward_and_gradients_per_row(constructor: type[Cell]) -> None:
    cell = randomised(constructor(INPUT, H))
    x = some_input(2, 3, INPUT).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: cell.scan(x)[0], x)

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return torch.func.functional_call(cell, parameters, (row[None, 0],))[0].square().sum()

    parameters = {name: value.detach() for name, value in cell.named_parameters()}
    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x.detach())
    for row in range(2):
        alone = torch.func.grad(loss)(parameters, x[row].detach())
        for name, gradient in alone.items():
            torch.testing.assert_close(together[name][row], gradient)


@pytest.mark.parametrize("constructor", ALL)
def test_autocast_meta_and_half(constructor: type[Cell]) -> None:
    cell = constructor(INPUT, H)
    x = torch.randn(B, T, INPUT)
    exact, _ = cell.scan(x, None, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, after = cell.scan(x, None, LENGTHS)
    torch.testing.assert_close(outputs.float(), exact, rtol=0.05, atol=0.05)
    assert all(part.isfinite().all() for part in flatten(after))
    low, _ = cell.to(torch.bfloat16).scan(x.to(torch.bfloat16), None, LENGTHS)
    torch.testing.assert_close(low.float(), exact, rtol=0.05, atol=0.05)
    with torch.device("meta"):
        nowhere = constructor(INPUT, H)
        outputs, _ = nowhere.scan(torch.empty(B, T, INPUT))
    assert outputs.is_meta
    assert outputs.shape == (B, T, nowhere.output_size)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ProjectedLSTM(INPUT, H, 0), "projection_size is 0"),
        (lambda: ProjectedLSTM(INPUT, H, H + 1), "it must be 1 to hidden_size, here 6"),
        (lambda: SLSTM(INPUT, H, heads=4), "heads is 4: it must be at least 1 and divide hidden_size, here 6"),
        (lambda: MLSTM(INPUT, H, heads=0), "heads is 0"),
    ],
)
def test_bad_options_are_refused(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_reset_needs_a_truth_value_for_each_row() -> None:
    cell = seqzoo.create_cell("lstm", 2, 3)
    state = (torch.ones(2, 3), torch.ones(2, 3))
    h, c = cell.reset(state, torch.tensor([True, False]))
    assert h.tolist() == c.tolist() == [[0.0] * 3, [1.0] * 3]
    for begins in (torch.tensor([True]), torch.tensor([[True], [False]]), torch.tensor([1, 0])):
        with pytest.raises(ValueError, match=r"it must be \(2,\) of torch.bool, for the rows of the state"):
            cell.reset(state, begins)
