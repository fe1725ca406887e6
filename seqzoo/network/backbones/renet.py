"""Bidirectional sweeps over a grid, such as the regions of a picture: along rows, then along columns.

Visin, Kastner, Cho, Matteucci, Courville & Bengio, ReNet: A Recurrent Neural Network Based Alternative to Convolutional
Networks, 2015, https://arxiv.org/abs/1505.00393
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths, largest_of
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.steps import Steps, supported
from seqzoo.network.backbones.layer import Layer
from seqzoo.network.backbones.stack import build_layers
from seqzoo.network.locked_dropout import create_dropout


class ReNet(Backbone):
    """(B, T, I) -> (B, T, O), where the steps are the cells of a grid, row by row; the last row may be incomplete.

    A bidirectional layer reads each row independently, and a second one reads each column of its outputs, so that every
    output depends on the whole grid. State: (). `last` is the maximum of each feature over the grid.

    Args:
        hidden_size: hidden units per direction; outputs are twice as wide.
        columns: number of columns of the grid.
        dropout: dropout on the input of the sweep along columns.
    """

    causal = False

    def __init__(
        self, cell: CellFactory, input_size: int, hidden_size: int = 128, columns: int = 8, dropout: float = 0.0
    ):
        super().__init__()
        if columns < 1:
            raise ValueError(f"columns is {columns}: it must be at least 1")
        self.across, self.down = build_layers([cell, cell], input_size, hidden_size, bidirectional=True)
        self.columns = columns
        self.dropout = create_dropout(dropout)
        self.output_size = self.down.output_size

    def initial_state(self, batch_size: int) -> State:
        return ()

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        lengths = supported(steps, self).lengths
        places, columns = x.shape[1], self.columns
        grid = F.pad(x, (0, 0, 0, -places % columns)).unflatten(1, (-1, columns))
        rows_end = columns_end = None
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape, x.device)
        if lengths is not None or places % columns:
            lengths = x.new_full((len(x),), places, dtype=torch.long) if lengths is None else lengths
            rows = torch.arange(grid.shape[1], device=x.device)
            rows_end = (lengths[:, None] - columns * rows).clamp(0, columns)
            column = torch.arange(columns, device=x.device)
            columns_end = (lengths[:, None] + columns - 1 - column).div(columns, rounding_mode="floor")
        outputs = sweep(self.across, grid, rows_end)
        outputs = sweep(self.down, self.dropout(outputs).transpose(1, 2), columns_end).transpose(1, 2)
        return outputs.flatten(1, 2)[:, :places], ()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise ValueError("a network that sweeps over a grid cannot go step by step: it needs the whole grid")

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        return largest_of(outputs, lengths)


def sweep(layer: Layer, x: Tensor, lengths: Tensor | None) -> Tensor:
    """Run a layer over the N lines of each grid, with lengths (B, N): (B, N, T, I) -> (B, N, T, O)."""
    lines = x.flatten(0, 1)
    outputs, _ = layer.scan(lines, layer.initial_state(len(lines)), None if lengths is None else lengths.flatten())
    return outputs.unflatten(0, x.shape[:2])
