"""Multi-dimensional LSTM over grids whose memory is a weighted mean of those to the left and above, so that it does not
grow without bound.

Leifert, Strauß, Grüning, Wustlich & Labahn, Cells in Multidimensional Recurrent Neural Networks, 2016,
https://jmlr.org/papers/v17/14-203.html
Voigtlaender, Doetsch & Ney, Handwriting Recognition with Large Multidimensional Long Short-Term Memory Recurrent Neural
Networks, 2016 (the gate l), https://doi.org/10.1109/ICFHR.2016.0052

    i = sigmoid(W_i x + U_i,1 h_1 + U_i,2 h_2 + b_i)        f, o and l likewise
    g = tanh(W_g x + U_g,1 h_1 + U_g,2 h_2 + b_g)
    c' = i * g + f * (l * c_1 + (1 - l) * c_2)
    h' = o * tanh(c')

h_1 and c_1 are the state to the left, h_2 and c_2 that above.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class StableMDLSTM(NaryCell):
    """State: (h, c), both (B, H). Gates in the order g i f o l.

    Args:
        input_size, hidden_size: number of features per node, and of hidden units.
        forget_bias: initial bias of the forget gate.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0):
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.bias[2 * hidden_size : 3 * hidden_size] = forget_bias

    @staticmethod
    def num_gates(children: int) -> tuple[int, int]:
        return 5, 5

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        h, c = parts
        gates = self.add_children(p, h)
        g, opening = gates.split([self.hidden_size, 4 * self.hidden_size], dim=-1)
        i, f, o, mixture = torch.sigmoid(opening).split(self.hidden_size, dim=-1)
        kept = i * torch.tanh(g)
        for share, of_place in zip((mixture, 1 - mixture), self.by_place(c), strict=False):
            kept = kept + f * share * of_place
        h = o * torch.tanh(kept)
        return h, (h, kept)
