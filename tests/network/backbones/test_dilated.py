"""Dilated layers, against a plain loop over the steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory, create_cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten, map_state
from seqzoo.network.backbones.dilated import Dilated, DilatedCell

B, T, INPUT, H = 4, 7, 3, 5


def run(scan: object, cell: Cell, x: Tensor, state: State, lengths: Tensor | None) -> list[Tensor]:
    """Outputs, the last state and all gradients."""
    x = x.clone().requires_grad_()
    state = map_state(lambda part: part.clone().requires_grad_(), state)
    outputs, after = scan(cell, x, state, lengths)
    total = sum((part**2).sum() for part in [outputs, *flatten(after)])
    gradients = torch.autograd.grad(total, [x, *flatten(state), *cell.parameters()])
    return [outputs, *flatten(after), *gradients]


@pytest.mark.parametrize("lengths", [None, [7, 5, 1, 0]])
@pytest.mark.parametrize("steps", [1, 6, 7])
@pytest.mark.parametrize("dilation", [1, 2, 3, 9])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_folding_time_is_stepping(name: str, dilation: int, steps: int, lengths: list[int] | None) -> None:
    cell = DilatedCell(create_cell(name, INPUT, H), dilation).double()
    x = torch.randn(B, steps, INPUT, dtype=torch.float64)
    state = map_state(torch.randn_like, cell.initial_state(B))
    real = None if lengths is None else torch.tensor(lengths).clamp(max=steps)
    torch.testing.assert_close(run(DilatedCell.scan, cell, x, state, real), run(Cell.unroll, cell, x, state, real))


def test_each_layer_continues_from_further_back() -> None:
    """h_t of layer l depends on h_{t - growth^l}, which is zero before the first step."""
    backbone = Dilated(cell_factory("elman"), INPUT, hidden_size=H, num_layers=3, growth=3).double()
    x = torch.randn(B, 2 * T, INPUT, dtype=torch.float64)
    outputs, _ = backbone(x)
    for depth, dilation in enumerate((1, 3, 9)):
        cell = backbone.layers[depth][0].cell
        h: list[Tensor] = []
        for t in range(x.shape[1]):
            past = h[t - dilation] if t >= dilation else x.new_zeros(B, H)
            h.append(cell(x[:, t], (past,))[0])
        x = torch.stack(h, dim=1)
    torch.testing.assert_close(outputs, x)


def test_growth_must_be_possible() -> None:
    with pytest.raises(ValueError, match="growth is 0: it must be at least 1"):
        Dilated(cell_factory("gru"), INPUT, growth=0)
