"""backbone=tree: layers and directions over trees."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.steps import Steps
from seqzoo.kernels.trees import Forest
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.backbones.tree import Tree

PARENTS = torch.tensor([[3, 2, 3, 6, 6, 6, -1], [2, 2, 3, -1, 0, 0, 0]])
LENGTHS = torch.tensor([7, 4])
INPUT, H = 3, 4


def test_layers_and_directions_by_hand() -> None:
    network = Tree(cell_factory("gru"), INPUT, hidden_size=H, num_layers=2, bidirectional=True, residual=True).double()
    x = torch.randn(2, 7, INPUT, dtype=torch.float64)
    steps = Steps(LENGTHS, parents=PARENTS)
    state = tuple(tuple((torch.randn(2, H, dtype=torch.float64),) for _ in range(2)) for _ in range(2))
    outputs, after = network(x, steps, state)
    lower, expected = x, []
    for layer, entering in zip(network.layers, state, strict=True):
        up, up_state = Cell.unroll(layer.directions[0], lower, entering[0], steps)
        down, down_state = Forest(x, steps).down(layer.directions[1], lower, entering[1])
        upper = torch.cat([up, down], -1)
        expected.append((up_state, down_state))
        lower = upper + lower if upper.shape == lower.shape else upper
    torch.testing.assert_close(outputs, lower)
    torch.testing.assert_close(after, tuple(expected))
    torch.testing.assert_close(network.last(outputs, LENGTHS)[:, :H], outputs[[0, 1], [6, 3], :H])


def test_a_batch_without_parents_is_of_sequences() -> None:
    options = {"hidden_size": H, "num_layers": 2, "bidirectional": True}
    tree, stack = Tree(cell_factory("gru"), INPUT, **options), Recurrent(cell_factory("gru"), INPUT, **options)
    stack.load_state_dict(tree.state_dict())
    x = torch.randn(2, 7, INPUT)
    torch.testing.assert_close(tree(x, LENGTHS), stack(x, LENGTHS))
    chain = torch.tensor([[1, 2, 3, 4, 5, 6, -1], [1, 2, 3, -1, 0, 0, 0]])
    torch.testing.assert_close(tree(x, Steps(LENGTHS, parents=chain)), stack(x, LENGTHS))


def test_other_backbones_refuse_trees() -> None:
    with pytest.raises(ValueError, match="Recurrent does not support `parents`"):
        Recurrent(cell_factory("gru"), INPUT)(torch.randn(2, 7, INPUT), Steps(LENGTHS, parents=PARENTS))


@pytest.mark.parametrize("modifier", ["zoneout", "recurrent_dropout", "weight_drop"])
def test_modifiers_are_refused(modifier: str) -> None:
    with pytest.raises(ValueError, match=f"{modifier}.* not on trees: leave them out"):
        Tree(partial(cell_factory("lstm", **{modifier: 0.1})), INPUT)
