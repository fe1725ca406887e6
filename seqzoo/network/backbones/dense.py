"""Layers that read the outputs of all layers below them.

Ding, Zhou, Yu & Liu, Densely Connected Bidirectional LSTM with Applications to Sentence Classification, 2018,
https://arxiv.org/abs/1802.00889
Huang, Liu, van der Maaten & Weinberger, Densely Connected Convolutional Networks, 2017, https://arxiv.org/abs/1608.06993
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.network.backbones.stack import Stack


class Dense(Stack):
    """Layer l reads the network's input and the outputs of the layers below, side by side; I + (l - 1) H features with
    one width and one direction. Output: the last layer's alone.
    """

    def handed_up(self, input_size: int, output_size: int) -> int:
        return input_size + output_size

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        return outputs if depth == len(self.layers) - 1 else torch.cat([x, outputs], dim=-1)
