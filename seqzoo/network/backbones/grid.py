"""Multi-dimensional recurrent networks: a cell over grids, such as pictures, from several corners.

Graves, Fernández & Schmidhuber, Multi-Dimensional Recurrent Neural Networks, 2007, https://arxiv.org/abs/0705.2011
Graves & Schmidhuber, Offline Handwriting Recognition with Multidimensional Recurrent Neural Networks, 2009 (blocks
between layers, and columns), https://papers.nips.cc/paper/3449
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import Cell, CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths, largest_of
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.planes import block_of, divided, in_blocks, to_planes, to_steps
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels.grids import Grids
from seqzoo.network.backbones.stack import check_depth
from seqzoo.network.locked_dropout import create_dropout

CORNERS = {"from_below": (False, True, True, False), "from_right": (False, True, False, True)}
"""The corners from which the directions start: upper left, lower right, lower left, upper right."""


class Grid(Backbone):
    """(B, T, I) -> (B, T', O), where the steps are the nodes of grids, row by row.

    A layer has a cell for each direction, which starts in a corner; the outputs of all directions at a node are
    concatenated. A batch without a grid has sequences, which are grids of one row. State: (). `last` is the maximum of
    each feature over the grid.

    Args:
        hidden_size: hidden units per direction, or a list with one size per layer.
        num_layers: number of layers.
        directions: 4: from all corners; 2: from the upper left and the lower right one; 1: from the upper left one.
        block: rows and columns of a block of nodes that becomes one node of the next layer, by a layer of tanh units.
        outputs: "nodes"; "columns": the mean of each column, from left to right, as connectionist temporal
            classification reads lines of text.
        dropout: dropout on the input of every layer but the first.

    Raises:
        ValueError: an option is out of its range, or the cell has modifiers, such as zoneout.
    """

    acts_with: ClassVar[dict[str, str]] = {"block": "num_layers>1", "dropout": "num_layers>1"}

    causal = False
    over_time = False

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        hidden_size: int | list[int] = 32,
        num_layers: int = 1,
        directions: Literal[1, 2, 4] = 4,
        block: list[int] | tuple[int, int] = (2, 2),
        outputs: Literal["nodes", "columns"] = "nodes",
        dropout: float = 0.0,
    ):
        super().__init__()
        check_depth(num_layers)
        sizes = [hidden_size] * num_layers if isinstance(hidden_size, int) else list(hidden_size)
        if len(sizes) != num_layers:
            raise ValueError(f"hidden_size lists {len(sizes)} sizes for num_layers={num_layers}: give one per layer")
        if min(sizes) < 1:
            raise ValueError(f"hidden_size is {hidden_size}: it must be at least 1")
        self.block, self.by_column = block_of(block, "block"), outputs == "columns"
        self.keeps_time = not self.by_column and (num_layers == 1 or self.block == (1, 1))
        self.dropout = create_dropout(dropout)
        layers, between = [], []
        for depth, size in enumerate(sizes):
            if depth and self.block != (1, 1):
                between.append(nn.Linear(self.block[0] * self.block[1] * input_size, input_size))
            layers.append(nn.ModuleList(cell(input_size, size) for _ in range(directions)))
            input_size = sum(cast("list[Cell]", layers[-1])[direction].output_size for direction in range(directions))
        self.layers, self.between = nn.ModuleList(layers), nn.ModuleList(between)
        self.output_size = input_size
        if not all("grid" in direction.supports for direction in self._directions(0)):
            raise ValueError(
                "zoneout, recurrent_dropout, weight_drop and clip_state_gradient act from one step to the next, and "
                "not on grids: leave them out"
            )

    @property
    def supports(self) -> Collection[str]:
        return ("grid",)

    def initial_state(self, batch_size: int) -> State:
        return ()

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        steps = _as_grids(supported(steps, self), x)
        for depth in range(len(self.layers)):
            if depth:
                x, steps = self._blocks(depth, self.dropout(x), steps)
            grids = Grids(x, steps)
            runs = [
                direction.over_nodes(grids, x, None, **{side: of_corner[number] for side, of_corner in CORNERS.items()})
                for number, direction in enumerate(self._directions(depth))
            ]
            x = torch.cat([outputs for outputs, _ in runs], -1)
        return (_columns(x, steps) if self.by_column else x), ()

    def _directions(self, depth: int) -> list[Cell]:
        return cast("list[Cell]", list(cast(nn.ModuleList, self.layers[depth])))

    def _blocks(self, depth: int, x: Tensor, steps: Steps) -> tuple[Tensor, Steps]:
        """The input of a layer and its grids, from the outputs of the layer before."""
        if self.block == (1, 1):
            return x, steps
        assert steps.grid is not None
        planes = in_blocks(to_planes(x, steps.grid), self.block)
        merged = torch.tanh(self.between[depth - 1](planes))
        steps = self._after_blocks(steps)
        assert steps.grid is not None
        return to_steps(merged, steps.grid), steps

    def _after_blocks(self, steps: Steps) -> Steps:
        assert steps.grid is not None
        if isinstance(steps.grid, tuple):
            return Steps(grid=divided(steps.grid, self.block))
        grid = divided(steps.grid, self.block)
        return Steps(grid.prod(1), grid=grid)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """The numbers of outputs of sequences or, with outputs="columns", of grids with these numbers of columns."""
        for _ in self.between:
            lengths = (lengths + self.block[1] - 1).div(self.block[1], rounding_mode="floor")
        return lengths

    def lengths_after(self, steps: Steps) -> Tensor | None:
        if not isinstance(steps.grid, Tensor):
            return None if steps.grid is not None else super().lengths_after(steps)
        for _ in self.between:
            steps = self._after_blocks(steps)
        assert isinstance(steps.grid, Tensor)
        return steps.grid[:, 1] * (steps.grid[:, 0] > 0) if self.by_column else steps.lengths

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise ValueError("a network over grids cannot go step by step: it needs the whole grid")

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        return largest_of(outputs, lengths)


def _as_grids(steps: Steps, x: Tensor) -> Steps:
    """Sequences as grids of one row."""
    if steps.grid is not None:
        return steps
    if steps.lengths is None:
        return Steps(grid=(1, x.shape[1]))
    lengths = checked_lengths(steps.lengths, x.shape, x.device)
    return Steps(lengths, grid=torch.stack([torch.ones_like(lengths), lengths], 1))


def _columns(x: Tensor, steps: Steps) -> Tensor:
    """(B, T, O) -> (B, X, O), the mean of each column; zero after the last column of a smaller grid."""
    assert steps.grid is not None
    planes = to_planes(x, steps.grid)
    if isinstance(steps.grid, tuple):
        return planes.mean(1)
    return planes.sum(1) / steps.grid[:, :1, None].clamp(min=1)
