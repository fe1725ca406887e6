"""Sweeps over a grid, such as the regions of a picture: along its rows, then along its columns.

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
    """(B, T, I) -> (B, T, O), where the steps are the places of a grid, a row after the other; the last row may end
    early. A layer reads each row on its own, in both directions, and a second one each column of what that puts out,
    so that every output knows what stands to its left, to its right, above and below. State: (). Since outputs have no
    order, `last` is the largest of each feature over all of them.

    hidden_size: units of each direction; outputs are twice as wide.
    columns: of the grid.
    dropout: on the input of the second layer, 0 to 1.
    """

    causal = False

    def __init__(
        self, cell: CellFactory, input_size: int, hidden_size: int = 128, columns: int = 8, dropout: float = 0.0
    ):
        super().__init__()
        if columns < 1:
            raise ValueError(f"columns is {columns}: a grid has at least one")
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
        read = sweep(self.across, grid, rows_end)
        read = sweep(self.down, self.dropout(read).transpose(1, 2), columns_end).transpose(1, 2)
        return read.flatten(1, 2)[:, :places], ()

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise ValueError("a network that sweeps over a grid cannot go step by step: all of it must be known first")

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        return largest_of(outputs, lengths)


def sweep(layer: Layer, x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, N, T, I), N lines of each of the batch, of lengths (B, N) -> (B, N, T, O)."""
    lines = x.flatten(0, 1)
    outputs, _ = layer.scan(lines, layer.initial_state(len(lines)), None if lengths is None else lengths.flatten())
    return outputs.unflatten(0, x.shape[:2])
