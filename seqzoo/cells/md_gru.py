"""Gated recurrent unit over grids: the state is a weighted mean of a candidate and the states to the left and above.

Wan, Lan, Xu, Guo, Pang & Cheng, Match-SRNN: Modeling the Recursive Matching Structure with Spatial RNN, 2016 (there
also with the state to the upper left), https://arxiv.org/abs/1604.04378

    r_d = sigmoid(W_r,d x + sum_e U_r,d,e h_e + b_r,d)
    z_0, z_1, z_2 = softmax of W_z,d x + sum_e U_z,d,e h_e + b_z,d over d, unit by unit
    n = tanh(W_n x + sum_d U_n,d (r_d * h_d) + b_n)
    h' = z_0 * n + z_1 * h_1 + z_2 * h_2

h_1 is the state to the left, h_2 that above.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class MDGRU(NaryCell):
    """State: (h,), (B, H). Gates in the order r_1 r_2 z_0 z_1 z_2 n.

    Args:
        input_size, hidden_size: number of features per node, and of hidden units.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size)

    @staticmethod
    def num_gates(children: int) -> tuple[int, int]:
        return 2 * children + 2, 2 * children + 2

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        [h], size = parts, self.hidden_size
        width = self.width(h)
        p, n = p.split([5 * size, size], dim=-1)
        if width:
            of_gates, of_candidate = self.weight_hh[:, :width].split([5 * size, size])
            p = p + F.linear(h, of_gates)
        resets, choices = p.split([2 * size, 3 * size], dim=-1)
        if width:
            n = n + F.linear(torch.sigmoid(resets[:, :width]) * h, of_candidate)
        weights = choices.unflatten(-1, (3, size)).softmax(-2)
        z, *shares = weights.unbind(-2)
        after = z * torch.tanh(n)
        for share, of_place in zip(shares, self.by_place(h), strict=False):
            after = after + share * of_place
        return after, (after,)
