"""A cell unrolled over time: deep, in one or both directions, with residual connections.

Wu et al., Google's Neural Machine Translation System, 2016 (residual layers), https://arxiv.org/abs/1609.08144
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from seqzoo.cells.cell import CellFactory
from seqzoo.network.backbones.stack import Stack, build_layers, repeated


class Recurrent(Stack):
    """State: a tuple over layers of tuples over directions of the cell's state.

    hidden_size: one width for all layers, or a list with one a layer (then `num_layers` must agree).
    bidirectional: a second cell reads each row backwards inside its length; outputs are the two halves side by side.
    dropout: on the input of every layer but the first, 0 to 1; `locked` keeps one mask for all steps of a row.
    residual: every layer but the first adds its input to its output, where the two have one width.
    learn_initial_state: the first state is a parameter instead of zero.
    """

    acts_with: ClassVar[dict[str, str]] = {"residual": "num_layers>1"}

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        hidden_size: int | list[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        residual: bool = False,
        learn_initial_state: bool = False,
    ):
        layers = build_layers(repeated(cell, num_layers), input_size, hidden_size, bidirectional)
        super().__init__(layers, dropout, locked, learn_initial_state)
        self.residual = residual

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        # not around the first layer, whose input is not zero at padded steps
        return outputs + x if self.residual and depth > 0 and outputs.shape == x.shape else outputs
