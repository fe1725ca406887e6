"""Sweeps over a grid, against a loop over its lines."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.configuration.building import cell_factory
from seqzoo.network.backbones.layer import Layer
from seqzoo.network.backbones.renet import ReNet

B, INPUT, H = 2, 3, 4


def read(layer: Layer, line: list[Tensor]) -> list[Tensor]:
    """(n, I) -> (n, O): one line of the grid by both cells, step by step."""
    found = []
    for cell, order in zip(layer.directions, (line, line[::-1]), strict=True):
        state, outputs = cell.initial_state(1), []
        for vector in order:
            output, state = cell(vector[None], state)
            outputs.append(output[0])
        found.append(outputs)
    return [torch.cat(pair) for pair in zip(found[0], found[1][::-1], strict=True)]


def by_loop(backbone: ReNet, x: Tensor) -> Tensor:
    """(T, I) -> (T, O)"""
    places = {divmod(t, backbone.columns): vector for t, vector in enumerate(x)}
    for layer, axis in ((backbone.across, 0), (backbone.down, 1)):
        for line in {place[axis] for place in places}:
            on_it = sorted(place for place in places if place[axis] == line)
            outputs = read(layer, [places[place] for place in on_it])
            places.update(zip(on_it, outputs, strict=True))
    return torch.stack([places[place] for place in sorted(places)])


@pytest.mark.parametrize("lengths", [None, [7, 5], [7, 2]])
@pytest.mark.parametrize("columns", [1, 3, 7, 9])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_rows_are_read_and_then_columns(name: str, columns: int, lengths: list[int] | None) -> None:
    backbone = ReNet(cell_factory(name), INPUT, H, columns).double()
    x = torch.randn(B, 7, INPUT, dtype=torch.float64)
    outputs, state = backbone(x, None if lengths is None else torch.tensor(lengths))
    assert (outputs.shape, state) == ((B, 7, 2 * H), ())
    for row, length in enumerate(lengths or [7, 7]):
        torch.testing.assert_close(outputs[row, :length], by_loop(backbone, x[row, :length]))
        assert (outputs[row, length:] == 0).all()


def test_each_output_depends_on_the_whole_grid() -> None:
    backbone = ReNet(cell_factory("gru"), INPUT, H, columns=3).double()
    x = torch.randn(1, 9, INPUT, dtype=torch.float64, requires_grad=True)
    backbone(x)[0][0, 4].sum().backward()
    assert (x.grad != 0).all(), "and of all the rest by way of them"


def test_a_grid_has_columns() -> None:
    with pytest.raises(ValueError, match="columns is 0: it must be at least 1"):
        ReNet(cell_factory("gru"), INPUT, columns=0)
