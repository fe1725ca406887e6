"""Densely connected layers, each of which reads the outputs of all layers below.

Ding, Zhou, Yu & Liu, Densely Connected Bidirectional LSTM with Applications to Sentence Classification, 2018,
https://arxiv.org/abs/1802.00889
Huang, Liu, van der Maaten & Weinberger, Densely Connected Convolutional Networks, 2017, https://arxiv.org/abs/1608.06993
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.network.backbones.stack import Stack


class Dense(Stack):
    """Layer l reads the input of the network concatenated with the outputs of all layers below, I + (l - 1) H features
    with equal sizes and one direction. The output is that of the last layer only.
    """

    def next_input_size(self, input_size: int, output_size: int) -> int:
        return input_size + output_size

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        return outputs if depth == len(self.layers) - 1 else torch.cat([x, outputs], dim=-1)
