"""Recursive neural tensor network: a node also reads the products of all pairs of its children's units.

Socher et al., Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank, 2013 (a node also reads an
input, such as the word of a leaf), https://aclanthology.org/D13-1170

    a = [h_1; ...; h_N]
    h'_j = tanh((W x + U a + b)_j + a^T V_j a)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class RecursiveTensor(NaryCell):
    """State: (h,), (B, H). The tensor V, `weight_tensor` (H, NH, NH), is initialised uniform in +-1 / (4H).

    Args:
        input_size, hidden_size, children: as in `NaryCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, children: int = 2):
        super().__init__(input_size, hidden_size, children)
        width, limit = children * hidden_size, 1 / (4 * hidden_size)
        self.weight_tensor = nn.Parameter(torch.empty(hidden_size, width, width).uniform_(-limit, limit))

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        [children] = parts
        width = self.width(children)
        # (M, kH) by (kH, HkH): a product of matrices, and not M products of a vector and a tensor
        tensor = self.weight_tensor[:, :width, :width].transpose(0, 1).flatten(1)
        pairs = (children @ tensor).unflatten(-1, (self.hidden_size, width))
        h = torch.tanh(self.add_children(p, children) + (pairs * children[..., None, :]).sum(-1))
        return h, (h,)
