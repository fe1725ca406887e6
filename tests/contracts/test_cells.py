"""What every name in conf/cell must do. There is no list of exceptions."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.config import load, names
from seqzoo.contracts import Cell
from seqzoo.state import flatten, map_state, reorder, unflatten

# one step in NumPy for every name, from equations.py and the families' equations_*.py
STEPS = {
    name: step
    for path in sorted(Path(__file__).parent.glob("equations*.py"))
    for name, step in importlib.import_module(f"tests.contracts.{path.stem}").STEPS.items()
}
B, T, INPUT, H = 3, 7, 4, 5
LENGTHS = torch.tensor([7, 4, 1])


@pytest.fixture(params=names("cell"))
def cell(request: pytest.FixtureRequest) -> Cell:
    return randomised(seqzoo.create_cell(request.param, INPUT, H))


def randomised(cell: Cell) -> Cell:
    """In float64, every parameter away from its start, so that a forgotten bias is seen."""
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell


def some_state(cell: Cell, rows: int = B) -> tuple:
    return map_state(lambda zero: 0.5 * torch.randn_like(zero), cell.initial_state(rows))


def assert_states_equal(one: tuple, other: tuple) -> None:
    for a, b in zip(flatten(one), flatten(other), strict=True):
        torch.testing.assert_close(a, b)


def stepped(cell: Cell, x: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
    outputs = []
    for t in range(x.shape[1]):
        output, state = cell(x[:, t], state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def gradients(cell: Cell, x: torch.Tensor, state: tuple, outputs: torch.Tensor, after: tuple) -> list[torch.Tensor]:
    """Of a weighted sum of all outputs and of the last state, so that no part can hide."""
    weights = torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    total = (outputs * weights).sum() + sum((3 * part).sin().sum() for part in flatten(after))
    return list(torch.autograd.grad(total, [x, *flatten(state), *cell.parameters()]))


def with_gradients(cell: Cell, scan, lengths=None) -> tuple:
    torch.manual_seed(1)
    x = torch.randn(B, T, INPUT, dtype=torch.float64, requires_grad=True)
    state = map_state(lambda part: part.detach().requires_grad_(), some_state(cell))
    outputs, after = scan(x, state) if lengths is None else scan(x, state, lengths)
    return outputs, after, gradients(cell, x, state, outputs, after)


def assert_same(one: tuple, other: tuple) -> None:
    torch.testing.assert_close(one[0], other[0])
    assert_states_equal(one[1], other[1])
    for a, b in zip(one[2], other[2], strict=True):
        torch.testing.assert_close(a, b)


def test_the_step_is_the_papers(cell: Cell, request: pytest.FixtureRequest) -> None:
    """A step in NumPy, written from the equations, over 7 steps from a state that is not zero."""
    name = request.node.callspec.params["cell"]
    equation, options = STEPS[name], load("cell", name)
    x, state = torch.randn(B, T, INPUT, dtype=torch.float64), some_state(cell)
    tensors = [*cell.named_parameters(), *cell.named_buffers()]
    parameters = {name: value.detach().numpy() for name, value in tensors}
    expected_state = tuple(part.numpy() for part in flatten(state))
    for t in range(T):
        output, state = cell(x[:, t], state)
        expected, expected_state = equation(x[:, t].numpy(), expected_state, parameters, options)
        torch.testing.assert_close(output.detach(), torch.from_numpy(expected))
        assert_states_equal(map_state(torch.detach, state), tuple(torch.from_numpy(part) for part in expected_state))


def test_scan_is_stepping(cell: Cell) -> None:
    assert_same(with_gradients(cell, cell.scan), with_gradients(cell, lambda x, s: stepped(cell, x, s)))


def test_scan_is_the_reference_with_lengths(cell: Cell) -> None:
    reference = with_gradients(cell, lambda x, s, lengths: Cell.scan(cell, x, s, lengths), LENGTHS)
    assert_same(with_gradients(cell, cell.scan, LENGTHS), reference)


def test_a_padded_batch_is_each_row_alone(cell: Cell) -> None:
    x, state = torch.randn(B, T, INPUT, dtype=torch.float64), some_state(cell)
    outputs, after = cell.scan(x, state, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        only = torch.tensor([row])
        alone, alone_after = cell.scan(x[row : row + 1, :length], reorder(state, only))
        torch.testing.assert_close(outputs[row, :length], alone[0])
        assert_states_equal(reorder(after, only), alone_after)
        assert (outputs[row, length:] == 0).all()


def test_padding_has_no_influence(cell: Cell) -> None:
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    other = x.clone()
    other[1, 4:] = 1e3
    other[2, 1:] = -1e3
    (outputs, after), (changed, changed_after) = cell.scan(x, None, LENGTHS), cell.scan(other, None, LENGTHS)
    torch.testing.assert_close(outputs, changed, rtol=0, atol=0)
    assert_states_equal(after, changed_after)


def test_two_halves_are_the_whole(cell: Cell) -> None:
    x, state = torch.randn(B, T, INPUT, dtype=torch.float64), some_state(cell)
    whole, after = cell.scan(x, state)
    first, between = cell.scan(x[:, :3], state)
    second, end = cell.scan(x[:, 3:], between)
    torch.testing.assert_close(whole, torch.cat([first, second], 1))
    assert_states_equal(after, end)


def test_gradcheck(cell: Cell) -> None:
    x = torch.randn(2, 3, INPUT, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 2])

    def through(x: torch.Tensor, *parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, after = cell.scan(x, unflatten(list(parts), cell.initial_state(2)), lengths)
        return outputs, *flatten(after)

    state = [part.requires_grad_() for part in flatten(some_state(cell, 2))]
    assert torch.autograd.gradcheck(through, (x, *state))


def test_state_dict_round_trip(cell: Cell, request: pytest.FixtureRequest) -> None:
    copy = seqzoo.create_cell(request.node.callspec.params["cell"], INPUT, H).double()
    copy.load_state_dict(cell.state_dict())
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    torch.testing.assert_close(copy.scan(x)[0], cell.scan(x)[0], rtol=0, atol=0)


def test_a_sequence_of_length_zero_keeps_its_state(cell: Cell) -> None:
    x, state = torch.randn(B, T, INPUT, dtype=torch.float64), some_state(cell)
    outputs, after = cell.scan(x, state, torch.tensor([7, 0, 2]))
    row = torch.tensor([1])
    assert_states_equal(reorder(after, row), reorder(state, row))
    assert (outputs[1] == 0).all()
