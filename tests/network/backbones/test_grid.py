"""backbone=grid: directions, layers and blocks over grids, and encoder=blocks before it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.steps import Steps
from seqzoo.network.backbones.grid import Grid
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.encoders.images import Blocks, ImageCNN

INPUT, H = 3, 4
SIZES = [(4, 5), (1, 1), (3, 2), (2, 7)]


def network(name: str = "gru", **options: Any) -> Grid:
    return Grid(cell_factory(name), INPUT, hidden_size=H, **options).double().eval()


def turned(cell: Cell, planes: Tensor, dimensions: list[int]) -> Tensor:
    """The outputs (1, Y, X, O) of a cell that starts in another corner, node by node."""
    size = planes.shape[1:3]
    outputs, _ = cell.unroll(planes.flip(dimensions).flatten(1, 2), None, Steps(grid=(size[0], size[1])))
    return outputs.unflatten(1, size).flip(dimensions)


def four(cells: list[Cell], planes: Tensor) -> Tensor:
    corners: list[list[int]] = [[], [1, 2], [1], [2]]
    return torch.cat([turned(cell, planes, corner) for cell, corner in zip(cells, corners, strict=True)], -1)


def test_directions_layers_and_blocks_by_hand() -> None:
    backbone = network("md_lstm", num_layers=2, block=[2, 3])
    for rows, columns in SIZES:
        planes = torch.randn(1, rows, columns, INPUT, dtype=torch.float64)
        lower = four(list(backbone.layers[0]), planes)
        merged = torch.zeros(1, -(-rows // 2), -(-columns // 3), 4 * H, dtype=torch.float64)
        for y in range(merged.shape[1]):
            for x in range(merged.shape[2]):
                block = torch.zeros(2, 3, 4 * H, dtype=torch.float64)
                of_picture = lower[0, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3]
                block[: of_picture.shape[0], : of_picture.shape[1]] = of_picture
                merged[0, y, x] = torch.tanh(backbone.between[0](block.flatten()))
        expected = four(list(backbone.layers[1]), merged)
        outputs, state = backbone(planes.flatten(1, 2), Steps(grid=(rows, columns)))
        torch.testing.assert_close(outputs, expected.flatten(1, 2))
        assert state == ()


@pytest.mark.parametrize("outputs", ["nodes", "columns"])
def test_pictures_of_different_sizes_are_each_alone(outputs: str) -> None:
    backbone = network("md_lstm_stable", num_layers=2, directions=2, outputs=outputs)
    encoder = Blocks(INPUT, [1, 1])
    rows, columns = (max(sizes) for sizes in zip(*SIZES, strict=True))
    pictures = torch.full((len(SIZES), INPUT, rows, columns), torch.nan, dtype=torch.float64)
    for row, (height, width) in enumerate(SIZES):
        pictures[row, :, :height, :width] = torch.randn(INPUT, height, width)
    batch = Batch(pictures, torch.ones(len(SIZES)), grid=torch.tensor(SIZES))
    steps = encoder.output_steps(batch)
    together, _ = backbone(encoder.encode(batch), steps)
    lengths = backbone.lengths_after(steps)
    assert lengths is not None
    last = backbone.last(together, lengths)
    for row, (height, width) in enumerate(SIZES):
        one = Batch(pictures[row : row + 1, :, :height, :width], torch.ones(1), padded=False)
        alone, _ = backbone(encoder.encode(one), encoder.output_steps(one))
        assert lengths[row] == alone.shape[1]
        torch.testing.assert_close(together[row, : lengths[row]], alone[0])
        assert (together[row, lengths[row] :] == 0).all()
        torch.testing.assert_close(last[row], backbone.last(alone, None)[0])
    if outputs == "columns":
        assert torch.equal(backbone.output_lengths(torch.tensor([width for _, width in SIZES])), lengths)


def test_columns_are_means() -> None:
    nodes, columns = network(), network(outputs="columns")
    columns.load_state_dict(nodes.state_dict())
    x = torch.randn(2, 12, INPUT, dtype=torch.float64)
    expected = nodes(x, Steps(grid=(3, 4)))[0].unflatten(1, (3, 4)).mean(1)
    torch.testing.assert_close(columns(x, Steps(grid=(3, 4)))[0], expected)


def test_a_batch_without_a_grid_is_of_sequences() -> None:
    grid = network("lstm", directions=2)
    flat = Recurrent(cell_factory("lstm"), INPUT, hidden_size=H, bidirectional=True).double()
    flat.load_state_dict(grid.state_dict())
    x, lengths = torch.randn(3, 6, INPUT, dtype=torch.float64), torch.tensor([6, 4, 1])
    torch.testing.assert_close(grid(x, lengths)[0], flat(x, lengths)[0])


def test_blocks_of_pixels_by_value() -> None:
    picture = torch.arange(1.0, 13).view(1, 1, 3, 4)
    encoder = Blocks(1, [2, 2])
    batch = Batch(picture, torch.ones(1), padded=False)
    assert encoder.encode(batch)[0].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 0, 0], [11, 12, 0, 0]]
    assert encoder.output_steps(batch).grid == (2, 2)
    assert encoder.output_size == 4


def test_encoders_of_one_size_refuse_others() -> None:
    batch = Batch(torch.rand(2, 3, 16, 16), torch.ones(2), grid=torch.tensor([[16, 16], [9, 3]]))
    with pytest.raises(ValueError, match="ImageCNN reads pictures of one size: choose encoder=blocks"):
        ImageCNN(3).output_steps(batch)
    whole = Batch(torch.rand(2, 3, 17, 40), torch.ones(2), padded=False)
    rows, columns = ImageCNN(3).output_steps(whole).grid or (0, 0)
    assert (rows, columns) == (3, 5)
    assert ImageCNN(3).eval()(whole.inputs).shape[1] == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0"),
        ({"hidden_size": [4, 4]}, "lists 2 sizes for num_layers=1"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"block": [0, 1]}, "block is"),
        ({"cell": "zoneout"}, "act from one step to the next, and not on grids"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    cell = cell_factory("lstm", zoneout=0.1) if options.pop("cell", None) else cell_factory("lstm")
    with pytest.raises(ValueError, match=message):
        Grid(cell, INPUT, **options)
