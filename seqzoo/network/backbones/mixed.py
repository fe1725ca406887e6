"""A different cell in each layer."""

from __future__ import annotations

from typing import Any

from seqzoo.cells.cell import CellFactories, CellFactory
from seqzoo.network.backbones.stack import Stack, check_depth


class Mixed(Stack):
    """A stack of layers with different cells.

    Args:
        cell: the cell of the model.
        cells: one per layer, lowest first; None: `cell`.
    """

    def __init__(self, cell: CellFactory, input_size: int, cells: CellFactories, num_layers: int = 2, **options: Any):
        check_depth(num_layers)
        if len(cells) != num_layers:
            raise ValueError(f"cells lists {len(cells)} for num_layers={num_layers}: give one per layer")
        super().__init__([chosen or cell for chosen in cells], input_size, num_layers=num_layers, **options)
