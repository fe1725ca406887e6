"""Recursive neural network: one layer of weights for each place among the children.

Socher, Lin, Ng & Manning, Parsing Natural Scenes and Natural Language with Recursive Neural Networks, 2011 (a node also
reads an input, such as the word of a leaf), https://icml.cc/2011/papers/125_icmlpaper.pdf
Graves, Fernández & Schmidhuber, Multi-Dimensional Recurrent Neural Networks, 2007 (over grids),
https://arxiv.org/abs/0705.2011

    h' = tanh(W x + sum_l U_l h_l + b)
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class Recursive(NaryCell):
    """State: (h,), (B, H).

    Args:
        input_size, hidden_size, children: as in `NaryCell`.
    """

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        h = torch.tanh(self.add_children(p, parts[0]))
        return h, (h,)
