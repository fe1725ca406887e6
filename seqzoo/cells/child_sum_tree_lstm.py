"""Tree-structured LSTM with a forget gate for each child, for any number of children in any order.

Tai, Socher & Manning, Improved Semantic Representations From Tree-Structured Long Short-Term Memory Networks, 2015
(equations 2 to 8), https://aclanthology.org/P15-1150

    s = sum_k h_k
    i = sigmoid(W_i x + U_i s + b_i)
    f_k = sigmoid(W_f x + U_f h_k + b_f)
    g = tanh(W_g x + U_g s + b_g)
    o = sigmoid(W_o x + U_o s + b_o)
    c' = i * g + sum_k f_k * c_k
    h' = o * tanh(c')
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.batch import State
from seqzoo.kernels.children import Children


class ChildSumTreeLSTM(LSTM):
    """State: (h, c), both (B, H). With one child, as in a sequence, it is an LSTM.

    Args:
        input_size, hidden_size: number of features per node, and of hidden units.
        forget_bias: initial bias of the forget gates.
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0):
        super().__init__(input_size, hidden_size, forget_bias)

    def compose(self, p: Tensor, children: Children) -> tuple[Tensor, State]:
        (h, c), size = children.state, self.hidden_size
        i, p_f, g_o = (p + self.bias_hh).split([size, size, 2 * size], dim=-1)
        if children.each == 0:
            g, o = g_o.chunk(2, dim=-1)
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            of_i, of_f, of_g_o = self.weight_hh.split([size, size, 2 * size])
            total = children.combined(h)
            g, o = (g_o + F.linear(total, of_g_o)).chunk(2, dim=-1)
            f = torch.sigmoid(children.of_nodes(p_f) + F.linear(h, of_f))
            c = torch.sigmoid(i + F.linear(total, of_i)) * torch.tanh(g) + children.combined(f * c)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)
