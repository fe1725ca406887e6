"""A different cell in each layer."""

from __future__ import annotations

from seqzoo.cells.cell import CellFactories, CellFactory
from seqzoo.network.backbones.stack import Stack, build_layers, repeated


class Mixed(Stack):
    """cells: one a layer, the lowest first; where it is None, it is `cell`, the model's own.

    hidden_size: one width for all layers, or a list with one a layer.
    num_layers: how many cells are listed.
    bidirectional: a second cell reads each row backwards inside its length; outputs are the two halves side by side.
    dropout: on the input of every layer but the first, 0 to 1; `locked` keeps one mask for all steps of a row.
    learn_initial_state: the first state is a parameter instead of zero.
    """

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        cells: CellFactories,
        hidden_size: int | list[int] = 128,
        num_layers: int = 2,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        learn_initial_state: bool = False,
    ):
        default = repeated(cell, num_layers)
        if len(cells) != num_layers:
            raise ValueError(f"cells lists {len(cells)} for num_layers={num_layers}: give one a layer")
        chosen = [listed or own for listed, own in zip(cells, default, strict=True)]
        layers = build_layers(chosen, input_size, hidden_size, bidirectional)
        super().__init__(layers, dropout, locked, learn_initial_state)
