"""Grids: all nodes of a diagonal at once are each node after those to the left and above, and errors are told."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.state import flatten
from seqzoo.contracts.steps import Steps
from seqzoo.kernels.grids import Grids
from seqzoo.learning.network_step import forward_derivative

INPUT, H = 3, 4


def some_cell(name: str = "md_lstm") -> Cell:
    cell = cell_factory(name)(INPUT, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell


def some_grids(sizes: list[list[int]]) -> tuple[Tensor, Steps]:
    """Inputs, which are NaN at padded steps, and the steps."""
    grid = torch.tensor(sizes)
    lengths = grid.prod(1)
    x = torch.randn(len(sizes), max(1, int(lengths.max())), INPUT, dtype=torch.float64)
    for row, length in enumerate(lengths.tolist()):
        x[row, length:] = torch.nan
    return x.requires_grad_(), Steps(lengths, grid=grid)


@pytest.mark.parametrize(
    "sizes",
    [[[1, 1]], [[3, 4], [3, 4]], [[2, 5], [5, 2], [1, 1], [1, 6], [6, 1]], [[2, 3], [0, 7], [3, 0]]],
    ids=str,
)
@pytest.mark.parametrize("name", ["gru", "md_lstm"])
def test_a_batch_of_grids_is_node_by_node(name: str, sizes: list[list[int]]) -> None:
    cell, (x, steps) = some_cell(name), some_grids(sizes)
    state = tuple(torch.randn_like(part).requires_grad_() for part in cell.initial_state(len(sizes)))
    for given in (state, None):
        runs = []
        for run in (cell.scan, cell.unroll):
            outputs, after = run(x, given, steps)
            total = sum(((part + 1) ** 3).sum() for part in [outputs, *flatten(after)])
            leaves = [x, *cell.parameters(), *(given or ())]
            gradients = torch.autograd.grad(total, leaves, materialize_grads=True)
            runs.append([outputs, *after, *gradients])
        torch.testing.assert_close(runs[0], runs[1])


def test_rows_without_a_grid_keep_their_state() -> None:
    cell, (x, steps) = some_cell(), some_grids([[0, 3], [0, 0]])
    state = tuple(torch.randn_like(part) for part in cell.initial_state(2))
    for run in (cell.scan, cell.unroll):
        outputs, after = run(x, state, steps)
        assert (outputs == 0).all()
        torch.testing.assert_close(after, state)


@pytest.mark.parametrize("from_right", [False, True])
@pytest.mark.parametrize("from_below", [False, True])
def test_other_corners_read_the_picture_turned_over(from_below: bool, from_right: bool) -> None:
    cell, sizes = some_cell(), [[3, 4], [2, 2], [1, 5]]
    x, steps = some_grids(sizes)
    outputs, after = Grids(x, steps).run(cell, x, None, from_below, from_right)
    turned = [dimension for dimension, is_turned in enumerate((from_below, from_right), start=1) if is_turned]
    for row, (rows, columns) in enumerate(sizes):
        alone = x[row : row + 1, : rows * columns].unflatten(1, (rows, columns)).flip(turned)
        expected, state = cell.unroll(alone.flatten(1, 2), None, Steps(grid=(rows, columns)))
        expected = expected.unflatten(1, (rows, columns)).flip(turned).flatten(1, 2)
        torch.testing.assert_close(outputs[row : row + 1, : rows * columns], expected)
        assert (outputs[row, rows * columns :] == 0).all()
        torch.testing.assert_close(tuple(part[row : row + 1] for part in after), state)


def test_a_cell_without_places_reads_the_mean_of_its_neighbours() -> None:
    cell, x = some_cell("elman"), torch.randn(1, 4, INPUT, dtype=torch.float64)
    outputs, _ = cell.scan(x, None, Steps(grid=(2, 2)))
    first, _ = cell.step(cell.project(x[:, 0]), cell.initial_state(1))
    right, _ = cell.step(cell.project(x[:, 1]), (first,))
    below, _ = cell.step(cell.project(x[:, 2]), (first,))
    last, _ = cell.step(cell.project(x[:, 3]), ((right + below) / 2,))
    torch.testing.assert_close(outputs[0], torch.cat([first, right, below, last]))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (Steps(grid=(2, 2)), "a grid of 2 x 2 has 4 nodes: the input has 6 steps"),
        (Steps(grid=(-2, -3)), "a grid of -2 x -3"),
        (Steps(grid=(2, 3, 1)), r"grid is \(2, 3, 1\): give the numbers of its rows and columns"),
        (Steps(torch.tensor([6, 4]), grid=(2, 3)), "give grid as a tensor"),
        (
            Steps(torch.tensor([6, 4]), grid=torch.tensor([[2, 3], [1, 3]])),
            "row 1: a grid of 1 x 3 .* the row has 4 steps",
        ),
        (Steps(grid=torch.tensor([[2, 3], [1, 3]])), "row 1: a grid of 1 x 3 has 3 nodes, and the row has 6 steps"),
        (Steps(grid=torch.tensor([[2, 3], [-2, -3]])), "row 1: a grid of -2 x -3"),
        (Steps(grid=torch.tensor([[2.0, 3.0], [2.0, 3.0]])), r"grid is torch.float32 of shape \(2, 2\)"),
        (Steps(grid=torch.tensor([2, 3])), r"it must be integers \(2, 2\)"),
        (Steps(resets=torch.zeros(2, 6, dtype=torch.bool), grid=(2, 3)), "give one of them"),
    ],
)
def test_what_is_no_grid_is_refused(steps: Steps, message: str) -> None:
    cell, x = some_cell(), torch.randn(2, 6, INPUT, dtype=torch.float64)
    for run in (cell.scan, cell.unroll):
        with pytest.raises(ValueError, match=message):
            run(x, None, steps)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_grids_without_values() -> None:
    """Sizes as numbers are known on the meta device; tensors of sizes are not."""
    cell, grid = some_cell().requires_grad_(False), torch.tensor([[2, 3]])
    x = torch.randn(1, 6, INPUT, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"torch.jit.trace does not support grids"):
        torch.jit.trace(lambda x: cell.scan(x, None, Steps(grid=(2, 3)))[0], x, check_trace=False)
    cell = cell.to("meta")
    assert cell.scan(x.to("meta"), None, Steps(grid=(2, 3)))[0].shape == (1, 6, H)
    with pytest.raises(ValueError, match="on the meta device: give a pair of numbers"):
        cell.scan(x.to("meta"), None, Steps(grid=grid.to("meta")))


def test_transforms_differentiate_the_inputs_and_not_the_sizes() -> None:
    cell, steps = some_cell(), Steps(torch.tensor([6, 2]), grid=torch.tensor([[2, 3], [2, 1]]))
    x, along = torch.randn(2, 2, 6, INPUT, dtype=torch.float64)

    def total(x: Tensor) -> Tensor:
        return cell.scan(x, None, steps)[0].square().sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(x), expected)
    torch.testing.assert_close(forward_derivative(total, (x,), (along,))[1], (expected * along).sum())
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total))(x[None])[0], expected)
