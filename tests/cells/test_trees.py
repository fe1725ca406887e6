"""Cells over trees: a node with several children against the paper's equations in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.steps import Steps
from tests.contracts.equations import sigmoid
from tests.contracts.equations_trees import matrix_vector_node, nary_node, recursive_node

INPUT, H = 3, 4
# a node with three children, of which the last has two, under a node with one child
PARENTS = torch.tensor([[5, 5, 4, 4, 5, 6, -1]])


def some_cell(name: str, **options: Any) -> tuple[Cell, dict[str, np.ndarray]]:
    cell = cell_factory(name, **options)(INPUT, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell, {key: value.detach().numpy() for key, value in cell.named_parameters()}


def outputs_of(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    x = torch.randn(1, 7, INPUT, dtype=torch.float64)
    return x[0].numpy(), cell.scan(x, None, Steps(parents=PARENTS))[0][0].detach().numpy()


def test_the_child_sum_tree_lstm_by_the_papers_equations() -> None:
    cell, p = some_cell("child_sum_tree_lstm")
    x, outputs = outputs_of(cell)
    states: list[tuple[np.ndarray, np.ndarray]] = []
    for node in range(7):
        below = [states[child] for child in range(node) if PARENTS[0, child] == node]
        total = sum((h for h, _ in below), np.zeros(H))
        rows = [slice(k * H, (k + 1) * H) for k in range(4)]
        of_input = [p["weight_ih"][r] @ x[node] + p["bias_ih"][r] + p["bias_hh"][r] for r in rows]
        i, _, g, o = (a + p["weight_hh"][r] @ total for a, r in zip(of_input, rows, strict=True))
        c = sigmoid(i) * np.tanh(g)
        for h, of_child in below:
            c = c + sigmoid(of_input[1] + p["weight_hh"][rows[1]] @ h) * of_child
        states.append((sigmoid(o) * np.tanh(c), c))
    np.testing.assert_allclose(outputs, [h for h, _ in states])


@pytest.mark.parametrize("name", ["nary_tree_lstm", "recursive", "recursive_tensor"])
def test_places_have_weights_of_their_own(name: str) -> None:
    cell, p = some_cell(name, children=3)
    x, outputs = outputs_of(cell)
    states: list[tuple[np.ndarray, ...]] = []
    for node in range(7):
        below = [states[child] for child in range(node) if PARENTS[0, child] == node]
        below += [(np.zeros((1, H)),) * 2] * (3 - len(below))
        if name == "nary_tree_lstm":
            states.append(nary_node(x[None, node], below, p)[1])
        else:
            states.append(recursive_node(x[None, node], [child[0] for child in below], p)[1])
    np.testing.assert_allclose(outputs, np.concatenate([state[0] for state in states]))


def test_the_matrix_of_a_node_acts_on_the_vector_of_its_sibling() -> None:
    cell, p = some_cell("matrix_vector")
    parents = [4, 3, 3, 4, 5, -1]
    x = torch.randn(1, 6, INPUT, dtype=torch.float64)
    outputs = cell.scan(x, None, Steps(parents=torch.tensor([parents])))[0][0].detach().numpy()
    states: list[tuple[np.ndarray, np.ndarray]] = []
    for node in range(6):
        below = [states[child] for child in range(node) if parents[child] == node]
        below += [(np.zeros((1, H)), np.eye(H)[None])] * (2 - len(below))
        states.append(matrix_vector_node(x[:, node].numpy(), below, p))
    np.testing.assert_allclose(outputs, np.concatenate([h for h, _ in states]))


def test_more_children_than_places_are_an_error() -> None:
    cell, _ = some_cell("nary_tree_lstm")
    with pytest.raises(ValueError, match=r"a node has 3 children, and the cell has places for 2: set cell.children=3"):
        outputs_of(cell)


def test_the_child_sum_tree_lstm_on_a_sequence_is_an_lstm() -> None:
    cell, lstm = cell_factory("child_sum_tree_lstm")(INPUT, H), cell_factory("lstm")(INPUT, H)
    lstm.load_state_dict(cell.state_dict())
    x = torch.randn(2, 6, INPUT)
    torch.testing.assert_close(cell.scan(x), lstm.scan(x))


def test_blocks_are_orthogonal_and_the_forget_bias_is_set() -> None:
    cell = cell_factory("nary_tree_lstm", children=2, forget_bias=0.7)(INPUT, H)
    for matrix in cell.recurrent_matrices:
        torch.testing.assert_close(matrix @ matrix.T, 0.5 * torch.eye(H))
    assert cell.bias.tolist() == pytest.approx([0.0] * 3 * H + [0.7] * H)


def test_a_number_of_places_that_no_memory_holds_is_refused() -> None:
    for children in (0, 10**9):
        with pytest.raises(ConfigError, match=f"cell.children is {children}: it must be from 1 to 1,000"):
            some_cell("recursive", children=children)
