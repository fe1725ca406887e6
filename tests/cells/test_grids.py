"""Cells over grids: a node with neighbours to the left and above against the papers' equations in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.steps import Steps
from tests.contracts.equations_grids import md_gru_node, md_lstm_node, md_lstm_stable_node
from tests.contracts.equations_trees import recursive_node

INPUT, H, ROWS, COLUMNS = 3, 4, 3, 4
NODES = {
    "md_rnn": lambda x, beside, p: recursive_node(x, [state[0] for state in beside], p),
    "md_lstm": md_lstm_node,
    "md_lstm_stable": md_lstm_stable_node,
    "md_gru": md_gru_node,
}


@pytest.mark.parametrize("name", NODES)
def test_a_grid_by_the_papers_equations(name: str) -> None:
    cell, node = cell_factory(name)(INPUT, H).double(), NODES[name]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    p = {key: value.detach().numpy() for key, value in cell.named_parameters()}
    x = torch.randn(1, ROWS * COLUMNS, INPUT, dtype=torch.float64)
    outputs, last = cell.scan(x, None, Steps(grid=(ROWS, COLUMNS)))
    expected, states = over_grid(node, x[0].numpy().reshape(ROWS, COLUMNS, INPUT), p, len(last))
    np.testing.assert_allclose(outputs[0].detach().numpy(), expected)
    np.testing.assert_allclose(torch.cat(last).detach().numpy(), np.concatenate(states))


def over_grid(node: Callable, x: np.ndarray, p: dict, parts: int) -> tuple[np.ndarray, tuple]:
    outside = (np.zeros((1, H)),) * parts
    states: dict[tuple[int, int], tuple] = {}
    outputs = []
    for y in range(ROWS):
        for column in range(COLUMNS):
            beside = [states.get((y, column - 1), outside), states.get((y - 1, column), outside)]
            output, states[y, column] = node(x[y, column][None], beside, p)
            outputs.append(output[0])
    return np.array(outputs), states[ROWS - 1, COLUMNS - 1]


@pytest.mark.parametrize("name", ["md_lstm_stable", "md_gru", "lstm", "gru", "child_sum_tree_lstm"])
def test_states_stay_bounded_over_a_large_grid(name: str) -> None:
    """Of new cells that keep a mean of both neighbours, but not of md_lstm, which keeps a sum."""
    cell = cell_factory(name)(INPUT, H)
    _, state = cell.scan(torch.randn(1, 60 * 60, INPUT), None, Steps(grid=(60, 60)))
    assert max(part.abs().max() for part in state) < 10
