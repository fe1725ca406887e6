"""Grids of different sizes as steps and as planes, and blocks of nodes."""

from __future__ import annotations

import pytest
import torch

from seqzoo.contracts.planes import block_of, divided, in_blocks, to_planes, to_steps

GRID = torch.tensor([[2, 3], [3, 1], [0, 2]])


def test_steps_become_planes_and_return() -> None:
    x = torch.arange(1.0, 28).view(3, 9, 1).masked_fill((torch.arange(9) >= GRID.prod(1)[:, None])[..., None], 0)
    planes = to_planes(x, GRID)
    assert planes[0, :, :, 0].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
    assert planes[1, :, :, 0].tolist() == [[10, 0, 0], [11, 0, 0], [12, 0, 0]]
    assert (planes[2] == 0).all()
    assert torch.equal(to_steps(planes, GRID), x)
    assert torch.equal(to_planes(x, (3, 3)).flatten(1, 2), to_steps(to_planes(x, (3, 3)), (3, 3)))


def test_blocks_by_value() -> None:
    planes = torch.arange(1.0, 16).view(1, 3, 5, 1)
    blocks = in_blocks(planes, (2, 3))
    assert blocks.shape[:3] == (1, *divided((3, 5), (2, 3))) == (1, 2, 2)
    assert blocks[0, 0].tolist() == [[1, 2, 3, 6, 7, 8], [4, 5, 0, 9, 10, 0]]
    assert blocks[0, 1].tolist() == [[11, 12, 13, 0, 0, 0], [14, 15, 0, 0, 0, 0]]
    assert divided(GRID, (2, 2)).tolist() == [[1, 2], [2, 1], [0, 1]]


@pytest.mark.parametrize("option", [[2], [0, 2], [2, 2, 2], [1, 10_000]])
def test_other_blocks_are_refused(option: list[int]) -> None:
    with pytest.raises(ValueError, match=r"block is .*: give two numbers, rows and columns"):
        block_of(option, "block")
