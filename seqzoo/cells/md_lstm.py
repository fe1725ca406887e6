"""Multi-dimensional LSTM over grids, with a forget gate and peepholes for each dimension.

Graves, Fernández & Schmidhuber, Multi-Dimensional Recurrent Neural Networks, 2007, https://arxiv.org/abs/0705.2011

    i = sigmoid(W_i x + sum_d (U_i,d h_d + p_i,d * c_d) + b_i)
    f_d = sigmoid(W_f,d x + sum_e U_f,d,e h_e + p_f,d * c_d + b_f,d)
    g = tanh(W_g x + sum_d U_g,d h_d + b_g)
    c' = i * g + sum_d f_d * c_d
    o = sigmoid(W_o x + sum_d U_o,d h_d + p_o * c' + b_o)
    h' = o * tanh(c')

h_1 and c_1 are the state to the left, h_2 and c_2 that above.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class MDLSTM(NaryCell):
    """State: (h, c), both (B, H). Gates in the order g i o f_1 f_2; `peepholes` (5, H) are p_i,1, p_i,2, p_f,1, p_f,2
    and p_o, and are initialised with zeros.

    Args:
        input_size, hidden_size: number of features per node, and of hidden units.
        forget_bias: initial bias of the forget gates. With 0, c' begins with the mean of its neighbours. Where the
            gates sum to more than 1, memory grows from diagonal to diagonal, without bound over large grids
            (`seqzoo.cells.md_lstm_stable`).
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 0.0):
        super().__init__(input_size, hidden_size)
        self.peepholes = nn.Parameter(torch.zeros(5, hidden_size))
        with torch.no_grad():
            self.bias[3 * hidden_size :] = forget_bias

    @staticmethod
    def num_gates(children: int) -> tuple[int, int]:
        return 3 + children, 3 + children

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        h, c = parts
        g, i, o, *f = self.add_children(p, h).split(self.hidden_size, dim=-1)
        *peep_i, peep_f_1, peep_f_2, peep_o = self.peepholes.unbind()
        kept: Tensor | None = None
        of_places = zip(f, peep_i, (peep_f_1, peep_f_2), self.by_place(c), strict=False)
        for of_gate, to_input, to_forget, of_place in of_places:
            i = i + to_input * of_place
            memory = torch.sigmoid(of_gate + to_forget * of_place) * of_place
            kept = memory if kept is None else kept + memory
        c = torch.sigmoid(i) * torch.tanh(g)
        if kept is not None:
            c = c + kept
        h = torch.sigmoid(o + peep_o * c) * torch.tanh(c)
        return h, (h, c)
