"""Highways, residual and dense connections, by hand from their layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.configuration.building import cell_factory
from seqzoo.network.backbones.dense import Dense
from seqzoo.network.backbones.highway import Highway
from seqzoo.network.backbones.recurrent import Recurrent

B, T, INPUT = 3, 6, 4
LENGTHS = torch.tensor([6, 3, 1])
DIRECTIONS = pytest.mark.parametrize("bidirectional", [False, True])


@pytest.fixture
def x() -> Tensor:
    return torch.randn(B, T, INPUT, dtype=torch.float64)


@DIRECTIONS
def test_a_gate_mixes_input_and_output(x: Tensor, bidirectional: bool) -> None:
    network = Highway(
        cell_factory("lstm"), INPUT, hidden_size=[5, 5, 3], num_layers=3, bidirectional=bidirectional
    ).double()
    zeros = network.initial_state(B)

    def layer(depth: int, below: Tensor) -> Tensor:
        return network.layers[depth].scan(below, zeros[depth], LENGTHS)[0]

    def gate(depth: int, below: Tensor) -> Tensor:
        return torch.sigmoid(F.linear(below, network.gates[depth - 1].weight, network.gates[depth - 1].bias))

    first = layer(0, x)
    r = gate(1, first)
    second = r * layer(1, first) + (1 - r) * first
    r = gate(2, second)  # of another width: the input goes through a matrix
    third = r * layer(2, second) + (1 - r) * (second @ network.carries[1].weight.T)
    torch.testing.assert_close(network(x, LENGTHS)[0], third)


def test_gates_start_at_their_bias() -> None:
    network = Highway(cell_factory("gru"), INPUT, hidden_size=5, num_layers=3, gate_bias=-2.5)
    assert [gate.bias.unique().tolist() for gate in network.gates] == [[-2.5], [-2.5]]


def test_a_closed_gate_passes_the_first_layer_through(x: Tensor) -> None:
    deep = Highway(cell_factory("gru"), INPUT, hidden_size=5, num_layers=3, gate_bias=-1e3).double()
    torch.testing.assert_close(deep(x)[0], deep.layers[0][0].scan(x)[0])


@DIRECTIONS
def test_a_residual_layer_adds_its_input_where_widths_agree(x: Tensor, bidirectional: bool) -> None:
    """Never around the first layer, even if the widths agree."""
    widths, directions = [4, 4, 3, 3], 2 if bidirectional else 1
    network = Recurrent(
        cell_factory("lstm"), INPUT, residual=True, hidden_size=widths, num_layers=4, bidirectional=bidirectional
    ).double()
    zeros = network.initial_state(B)

    def layer(depth: int, below: Tensor) -> Tensor:
        return network.layers[depth].scan(below, zeros[depth], LENGTHS)[0]

    first = layer(0, x)
    second = layer(1, first) + first
    third = layer(2, second)
    fourth = layer(3, third) + third
    found, _ = network(x, LENGTHS)
    torch.testing.assert_close(found, fourth)
    assert network.output_size == 3 * directions
    assert (found[1, 3:] == 0).all()


@DIRECTIONS
def test_a_dense_layer_reads_all_lower_layers(x: Tensor, bidirectional: bool) -> None:
    network = Dense(cell_factory("lstm"), INPUT, [5, 2, 3], 3, bidirectional).double()
    zeros = network.initial_state(B)

    def layer(depth: int, below: list[Tensor]) -> Tensor:
        return network.layers[depth].scan(torch.cat(below, dim=-1), zeros[depth], LENGTHS)[0]

    first = layer(0, [x])
    second = layer(1, [x, first])
    third = layer(2, [x, first, second])
    torch.testing.assert_close(network(x, LENGTHS)[0], third)
    directions = 2 if bidirectional else 1
    assert [layer.input_size for layer in network.layers] == [4, 4 + 5 * directions, 4 + 7 * directions]
    assert network.output_size == 3 * directions
