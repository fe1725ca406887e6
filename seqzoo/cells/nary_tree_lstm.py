"""Tree-structured LSTM with weights for each place among the children, such as left and right.

Tai, Socher & Manning, Improved Semantic Representations From Tree-Structured Long Short-Term Memory Networks, 2015
(equations 9 to 14), https://aclanthology.org/P15-1150

    i = sigmoid(W_i x + sum_l U_i,l h_l + b_i)
    f_k = sigmoid(W_f x + sum_l U_f,k,l h_l + b_f)
    g = tanh(W_g x + sum_l U_g,l h_l + b_g)
    o = sigmoid(W_o x + sum_l U_o,l h_l + b_o)
    c' = i * g + sum_l f_l * c_l
    h' = o * tanh(c')
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class NaryTreeLSTM(NaryCell):
    """State: (h, c), both (B, H). Gates in the order g i o f, of the children g i o f_1 to f_N.

    Args:
        input_size, hidden_size, children: as in `NaryCell`.
        forget_bias: initial bias of the forget gates.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, children: int = 2, forget_bias: float = 1.0):
        super().__init__(input_size, hidden_size, children)
        with torch.no_grad():
            self.bias[3 * hidden_size :] = forget_bias

    @staticmethod
    def num_gates(children: int) -> tuple[int, int]:
        return 4, 3 + children

    def project(self, x: Tensor) -> Tensor:
        """The input part of all gates of the children, which share that of f: (..., I) -> (..., (3 + N)H)."""
        others, f = super().project(x).split([3 * self.hidden_size, self.hidden_size], dim=-1)
        return torch.cat([others, *[f] * self.places], dim=-1)

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        (h, c), size = parts, self.hidden_size
        gates = self.add_children(p, h)
        g, opening = gates.split([size, gates.shape[-1] - size], dim=-1)
        i, o, *f = torch.sigmoid(opening).split(size, dim=-1)
        kept = i * torch.tanh(g)
        for of_gate, of_child in zip(f, self.by_place(c), strict=False):
            kept = kept + of_gate * of_child
        h = o * torch.tanh(kept)
        return h, (h, kept)
