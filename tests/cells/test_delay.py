"""Cells that remember by delay."""

from __future__ import annotations

import pytest
import torch

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.contracts.errors import ConfigError


def test_tdnn_sees_its_window_and_nothing_older() -> None:
    cell = seqzoo.create_cell("tdnn", 3, 5, window=4)
    x = torch.randn(1, 20, 3, requires_grad=True)
    (seen,) = torch.autograd.grad(cell.scan(x)[0][0, 10].sum(), x)
    assert (seen[0] != 0).all(1).nonzero().flatten().tolist() == [7, 8, 9, 10]


def test_tdnn_by_hand() -> None:
    """Weights 1, 10, 100 from the oldest to the newest."""
    cell = seqzoo.create_cell("tdnn", 1, 1, activation="relu")
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
    outputs, (line,) = cell.scan(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
    assert outputs.flatten().tolist() == [100.0, 210.0, 321.0, 432.0]
    assert line.flatten().tolist() == [3.0, 4.0]


def test_tdnn_with_delays_is_a_window_with_gaps() -> None:
    window, sparse = seqzoo.create_cell("tdnn", 3, 5, window=6), seqzoo.create_cell("tdnn", 3, 5, delays=[5, 0, 2])
    with torch.no_grad():
        window.weight_ih.zero_()
        window.weight_ih[:, :, [0, 3, 5]] = sparse.weight_ih
        window.bias.copy_(sparse.bias.normal_())
    x, lengths = torch.randn(2, 9, 3), torch.tensor([9, 4])
    outputs, state = sparse.scan(x, None, lengths)
    expected, following = window.scan(x, None, lengths)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state, following)
    torch.testing.assert_close(sparse(x[:, 0], state)[0], window(x[:, 0], following)[0])
    torch.testing.assert_close(sparse.unroll(x, None, lengths), (outputs, state))


@pytest.mark.parametrize("window", [1, 5])
def test_tdnn_windows(window: int) -> None:
    cell = seqzoo.create_cell("tdnn", 3, 5, window=window)
    x, lengths = torch.randn(3, 9, 3), torch.tensor([9, 2, 0])
    (got, (line,)), (expected, (other,)) = cell.scan(x, None, lengths), Cell.unroll(cell, x, None, lengths)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(line, other)
    assert line.shape == (3, window - 1, 3)


def test_narx_of_one_delay_is_jordan() -> None:
    cell = seqzoo.create_cell("narx", 3, 5, input_window=1, output_window=1, output_size=2)
    jordan = seqzoo.create_cell("jordan", 3, 5, output_size=2)
    weights = {name: value.squeeze(-1) if value.dim() == 3 else value for name, value in cell.state_dict().items()}
    jordan.load_state_dict(weights)
    x = torch.randn(2, 9, 3)
    torch.testing.assert_close(cell.scan(x)[0], jordan.scan(x)[0])


@pytest.mark.parametrize(("input_window", "output_window"), [(2, 3), (1, 1), (4, 2)])
def test_forcing_narx_to_its_own_outputs_changes_nothing(input_window: int, output_window: int) -> None:
    options = {"input_window": input_window, "output_window": output_window, "output_size": 2}
    cell = seqzoo.create_cell("narx", 3, 5, **options).double()
    x, lengths = torch.randn(3, 9, 3, dtype=torch.float64), torch.tensor([9, 4, 0])
    first = tuple(torch.randn_like(part) for part in cell.initial_state(3))
    free, after = cell.scan(x, first, lengths)
    forced, forced_after = cell.scan_forced(x, free, first, lengths)
    torch.testing.assert_close(forced, free)
    for one, other in zip(after, forced_after, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(cell.scan_forced(x, cell.scan(x)[0])[0], cell.scan(x)[0])


def test_forced_narx_is_a_step_with_the_right_outputs_put_in() -> None:
    cell = seqzoo.create_cell("narx", 3, 5)
    x, right = torch.randn(2, 6, 3), torch.randn(2, 6, 5)
    state, expected = cell.initial_state(2), []
    for t in range(6):
        output, (outputs, inputs) = cell(x[:, t], state)
        expected.append(output)
        state = torch.cat([outputs[:, :-1], right[:, t, None]], dim=1), inputs
    forced, after = cell.scan_forced(x, right)
    torch.testing.assert_close(forced, torch.stack(expected, 1))
    for one, other in zip(after, state, strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_of_narx_jumps_back_over_its_delays() -> None:
    """With the gradient through the newest outputs cut off, the path over the longest delay remains."""
    cell = seqzoo.create_cell("narx", 1, 4, input_window=1, output_window=5)
    with torch.no_grad():
        cell.weight_yh[:, :, 1:] = 0
    x = torch.randn(1, 12, 1, requires_grad=True)
    (slope,) = torch.autograd.grad(cell.scan(x)[0][0, 11].sum(), x)
    assert slope.flatten().nonzero().flatten().tolist() == [1, 6, 11]


def test_narx_may_put_out_numbers_without_bounds() -> None:
    cell = seqzoo.create_cell("narx", 1, 4, output_size=1, output_activation="identity")
    with torch.no_grad():
        cell.bias_y.fill_(7.0)
    assert (cell.scan(torch.zeros(1, 3, 1))[0] > 1).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tdnn", {"window": 0}, "window"),
        ("tdnn", {"delays": []}, r"delays is \[\]: give different numbers of steps"),
        ("tdnn", {"delays": [-1]}, "delays"),
        ("tdnn", {"delays": [2, 2]}, "delays"),
        ("narx", {"input_window": 0}, "input_window"),
        ("narx", {"output_window": 0}, "output_window"),
        ("narx", {"output_size": 0}, "output_size"),
    ],
)
def test_bad_values_are_reported(name: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        seqzoo.create_cell(name, 3, 5, **options)
