"""Grids of different sizes in a batch: their nodes as steps (B, T, F), and as parts of planes (B, Y, X, F).

A grid is (B, 2), the rows and columns of each row of the batch, or a pair of numbers, if all are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = TypeVar("Grid", Tensor, tuple[int, int])


def divided(grid: Grid, block: tuple[int, int]) -> Grid:
    """The rows and columns of the grid of blocks of nodes, incomplete ones at the edges included.

    Args:
        grid: of nodes.
        block: rows and columns of a block.
    """
    if isinstance(grid, tuple):
        return -(-grid[0] // block[0]), -(-grid[1] // block[1])
    return -(-grid // torch.tensor(block, device=grid.device))


def largest(grid: Tensor | tuple[int, int]) -> tuple[int, int]:
    """The largest numbers of rows and columns."""
    if isinstance(grid, tuple):
        return grid
    rows, columns = grid.amax(0).tolist() if len(grid) else (0, 0)
    return rows, columns


def to_planes(x: Tensor, grid: Tensor | tuple[int, int]) -> Tensor:
    """(B, T, F) -> (B, Y, X, F), zero outside smaller grids, which are in the upper left corner."""
    rows, columns = largest(grid)
    if isinstance(grid, tuple):
        return x.unflatten(1, grid)
    down, right = torch.arange(rows, device=x.device)[:, None], torch.arange(columns, device=x.device)
    height, width = grid[:, :, None, None].unbind(1)
    inside = (down < height) & (right < width)
    step = torch.where(inside, down * width + right, 0).flatten(1)
    planes = x.gather(1, step[..., None].expand(-1, -1, x.shape[2])).unflatten(1, (rows, columns))
    return planes.masked_fill(~inside[..., None], 0)


def to_steps(planes: Tensor, grid: Tensor | tuple[int, int]) -> Tensor:
    """(B, Y, X, F) -> (B, T, F), where T is Y times X; zero at padded steps."""
    if isinstance(grid, tuple):
        return planes.flatten(1, 2)
    rows, columns = planes.shape[1:3]
    step = torch.arange(rows * columns, device=planes.device)
    real = step < grid.prod(1)[:, None]
    width = grid[:, 1:].clamp(min=1)
    place = torch.where(real, step.div(width, rounding_mode="floor") * columns + step % width, 0)
    steps = planes.flatten(1, 2).gather(1, place[..., None].expand(-1, -1, planes.shape[3]))
    return steps.masked_fill(~real[..., None], 0)


def in_blocks(planes: Tensor, block: tuple[int, int]) -> Tensor:
    """(B, Y, X, F) -> (B, Y', X', F'), the nodes of each block of rows and columns side by side, with zeros after the
    edges.
    """
    down, right = block
    rows, columns = planes.shape[1:3]
    padded = F.pad(planes, (0, 0, 0, -columns % right, 0, -rows % down))
    return padded.unflatten(2, (-1, right)).unflatten(1, (-1, down)).transpose(2, 3).flatten(3)


def block_of(option: Sequence[int], name: str) -> tuple[int, int]:
    """The rows and columns of a block, from an option.

    Raises:
        ValueError: they are not two numbers from 1 to 1,000.
    """
    numbers = isinstance(option, Sequence) and all(isinstance(number, int) for number in option)
    if not numbers or len(option) != 2 or not all(1 <= number <= 1_000 for number in option):
        raise ValueError(f"{name} is {option}: give two numbers, rows and columns, each from 1 to 1,000")
    return option[0], option[1]
