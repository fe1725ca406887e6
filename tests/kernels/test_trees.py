"""Trees: all nodes of a height at once are each node after its children, and errors are told."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import PartError
from seqzoo.contracts.state import flatten
from seqzoo.contracts.steps import Steps
from seqzoo.kernels.children import Children
from seqzoo.kernels.trees import Forest
from seqzoo.learning.network_step import forward_derivative

INPUT, H = 3, 4


def some_cell(name: str = "lstm") -> Cell:
    cell = cell_factory(name)(INPUT, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell


def some_trees(sizes: list[int], reach: int) -> tuple[Tensor, Tensor]:
    """Parents (B, T) and lengths of random trees; the parent of a node is at most `reach` nodes after it."""
    parents = torch.full((len(sizes), max(sizes)), 77)
    for row, size in enumerate(sizes):
        for node in range(size):
            parents[row, node] = -1 if node == size - 1 else random.randint(node + 1, min(node + reach, size - 1))
    return parents, torch.tensor(sizes)


def gradients(outputs: Tensor, state: State, leaves: list[Tensor]) -> list[Tensor]:
    total = sum(((part + 1) ** 3).sum() for part in [outputs, *flatten(state)])
    return list(torch.autograd.grad(total, leaves, materialize_grads=True))


@pytest.mark.parametrize("reach", [1, 2, 5, 30], ids=["unary chains", "narrow", "odd", "flat"])
@pytest.mark.parametrize("sizes", [[1], [9, 1, 30, 4], [3, 0, 12], [6, 6]], ids=str)
def test_a_batch_of_trees_is_node_by_node(sizes: list[int], reach: int) -> None:
    random.seed(0)
    cell = some_cell()
    parents, lengths = some_trees(sizes, reach)
    x = torch.randn(*parents.shape, INPUT, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(len(sizes), H, dtype=torch.float64, requires_grad=True) for _ in range(2))
    runs = []
    for run in (cell.scan, cell.unroll):
        outputs, after = run(x, state, Steps(lengths, parents=parents))
        runs.append([outputs, *after, *gradients(outputs, after, [x, *state, *cell.parameters()])])
    torch.testing.assert_close(runs[0], runs[1])


def test_a_row_without_padding_needs_no_lengths() -> None:
    random.seed(0)
    cell, (parents, _) = some_cell(), some_trees([6, 6], 3)
    x = torch.randn(2, 6, INPUT, dtype=torch.float64)
    steps = Steps(parents=parents)
    torch.testing.assert_close(cell.scan(x, None, steps), cell.unroll(x, None, steps))


def test_a_forest_ends_with_its_last_tree() -> None:
    cell, x = some_cell(), torch.randn(1, 5, INPUT, dtype=torch.float64)
    outputs, state = cell.scan(x, None, Steps(parents=torch.tensor([[1, -1, 3, 4, -1]])))
    first, _ = cell.scan(x[:, :2])
    second, after = cell.scan(x[:, 2:])
    torch.testing.assert_close(outputs, torch.cat([first, second], 1))
    torch.testing.assert_close(state, after)


def test_the_way_down_reads_the_path_from_the_root() -> None:
    random.seed(0)
    cell = some_cell()
    parents, lengths = some_trees([9, 1, 20, 0], 4)
    x = torch.randn(*parents.shape, INPUT, dtype=torch.float64, requires_grad=True)
    start = tuple(torch.randn(4, H, dtype=torch.float64) for _ in range(2))
    outputs, after = Forest(x, Steps(lengths, parents=parents)).down(cell, x, start)
    expected, states = torch.zeros_like(outputs), [[part[row : row + 1] for part in start] for row in range(4)]
    for row, length in enumerate(lengths.tolist()):
        for node in range(length):
            path = [node]
            while parents[row, path[0]] >= 0:
                path.insert(0, int(parents[row, path[0]]))
            of_path, state = cell.unroll(x[row : row + 1, path], tuple(part[row : row + 1] for part in start))
            expected[row, node] = of_path[0, -1]
            if node == 0:
                states[row] = list(state)
    ends = tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    torch.testing.assert_close((outputs, after), (expected, ends))
    leaves = [x, *cell.parameters()]
    torch.testing.assert_close(gradients(outputs, after, leaves), gradients(expected, ends, leaves))


def test_a_tree_of_depth_2000() -> None:
    depth = 2_000
    cell = some_cell("elman")
    # leaves first, then the nodes above them
    leaves, inner = torch.arange(depth + 1), torch.arange(depth + 1, 2 * depth + 1)
    parents = torch.cat([inner[:1], inner, inner[1:], torch.tensor([-1])])
    x = torch.randn(1, 2 * depth + 1, INPUT, dtype=torch.float64, requires_grad=True)
    outputs, state = cell.scan(x, None, Steps(parents=parents[None]))
    projected = cell.project(x[0])
    of_leaves = [cell.step(p[None], cell.initial_state(1))[0] for p in projected[leaves]]
    h, expected = of_leaves[0], list(of_leaves)
    for leaf, p in zip(of_leaves[1:], projected[inner], strict=True):
        h, _ = cell.step(p[None], (h + leaf,))
        expected.append(h)
    torch.testing.assert_close(outputs[0], torch.cat(expected))
    learned = [x, *cell.parameters()]
    torch.testing.assert_close(gradients(outputs, state, learned), gradients(torch.cat(expected), (h,), learned))


def test_children_by_value() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    uneven = Children((values,), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), 2)
    assert uneven.combined(values).tolist() == [[4, 6], [5, 6]]
    assert uneven.of_nodes(torch.tensor([[7.0], [8.0]])).tolist() == [[7], [7], [8]]
    assert uneven.by_place(values, 2).tolist() == [[1, 2, 3, 4], [5, 6, 0, 0]]
    pair = Children((values[:2],), torch.tensor([0, 0]), torch.tensor([0, 1]), 1, each=2)
    assert pair.combined(values[:2]).tolist() == [[4, 6]]
    assert pair.by_place(values[:2], 3).tolist() == [[1, 2, 3, 4]]
    for children in (uneven, pair):
        with pytest.raises(ValueError, match="a node has 2 children, and the cell has places for 1"):
            children.by_place(values[: len(children.node)], 1)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (Steps(parents=torch.tensor([[0, 2, -1]])), "row 0: the parent of node 0 is 0, .* between 1 and 2"),
        (Steps(parents=torch.tensor([[1, 3, -1]])), "the parent of node 1 is 3"),
        (Steps(torch.tensor([2]), parents=torch.tensor([[2, -1, -1]])), "the parent of node 0 is 2"),
        (Steps(parents=torch.tensor([[1, -2, -1]])), "the parent of node 1 is -2"),
        (Steps(parents=torch.tensor([[1.0, 2.0, -1.0]])), "parents are torch.float32"),
        (Steps(parents=torch.tensor([[1, -1]])), "the input has 1 rows of 3 nodes"),
        (Steps(resets=torch.zeros(1, 3, dtype=torch.bool), parents=torch.tensor([[1, 2, -1]])), "give one of them"),
    ],
)
def test_what_is_no_tree_is_refused(steps: Steps, message: str) -> None:
    cell, x = some_cell(), torch.randn(1, 3, INPUT, dtype=torch.float64)
    for run in (cell.scan, cell.unroll):
        with pytest.raises(ValueError, match=message):
            run(x, None, steps)


@pytest.mark.parametrize("name", ["gru", "nary_tree_lstm"])
def test_transforms_differentiate_the_inputs_and_not_the_trees(name: str) -> None:
    cell, steps = (
        some_cell(name),
        Steps(torch.tensor([5, 3]), parents=torch.tensor([[2, 2, 4, 4, -1], [1, 2, -1, 0, 0]])),
    )
    x, along = torch.randn(2, 2, 5, INPUT, dtype=torch.float64)

    def total(x: Tensor) -> Tensor:
        return cell.scan(x, None, steps)[0].square().sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(x), expected)
    torch.testing.assert_close(forward_derivative(total, (x,), (along,))[1], (expected * along).sum())
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(total))(x[None])[0], expected)
    with pytest.raises(ValueError, match="under vmap or on the meta device"):
        torch.func.vmap(lambda lengths: cell.scan(x, None, steps._replace(lengths=lengths))[0])(steps.lengths[None])


def test_what_a_users_cell_composes_is_checked() -> None:
    class Narrow(type(some_cell("elman"))):  # type: ignore[misc]
        def compose(self, p: Tensor, children: Children) -> tuple[Tensor, State]:
            output, state = super().compose(p, children)
            return output[:, 1:], state

    x, parents = torch.randn(1, 3, INPUT), torch.tensor([[2, 2, -1]])
    with pytest.raises(PartError, match=r"Narrow.compose .* returned .*Tensor \(2, 4\)"):
        Narrow(INPUT, H).scan(x, None, Steps(parents=parents))
