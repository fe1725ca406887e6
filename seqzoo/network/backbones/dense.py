"""Layers that read the outputs of all layers below them.

Ding, Zhou, Yu & Liu, Densely Connected Bidirectional LSTM with Applications to Sentence Classification, 2018,
https://arxiv.org/abs/1802.00889
Huang, Liu, van der Maaten & Weinberger, Densely Connected Convolutional Networks, 2017, https://arxiv.org/abs/1608.06993
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.cell import CellFactory
from seqzoo.network.backbones.stack import Stack, build_layers, repeated


class Dense(Stack):
    """Layer l reads the network's input and the outputs of the layers below, side by side; I + (l - 1) H features with
    one width and one direction. Output: the last layer's alone.

    hidden_size: one width for all layers, or a list with one a layer (then `num_layers` must agree).
    bidirectional: a second cell reads each row backwards inside its length; outputs are the two halves side by side.
    dropout: on the input of every layer but the first, 0 to 1; `locked` keeps one mask for all steps of a row.
    learn_initial_state: the first state is a parameter instead of zero.
    """

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        hidden_size: int | list[int] = 128,
        num_layers: int = 3,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        learn_initial_state: bool = False,
    ):
        cells = repeated(cell, num_layers)
        layers = build_layers(cells, input_size, hidden_size, bidirectional, lambda read, made: read + made)
        super().__init__(layers, dropout, locked, learn_initial_state)

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        return outputs if depth == len(self.layers) - 1 else torch.cat([x, outputs], dim=-1)
