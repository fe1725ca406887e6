"""LSTM with a recurrent projection layer: the output and recurrent input r is a projection of the cell's output.

Sak, Senior & Beaufays, Long Short-Term Memory Based Recurrent Neural Network Architectures for Large Vocabulary Speech
Recognition, 2014, https://arxiv.org/abs/1402.1128

    i = sigmoid(W_i x + U_i r + b_i)
    f = sigmoid(W_f x + U_f r + b_f)
    g = tanh(W_g x + U_g r + b_g)
    o = sigmoid(W_o x + U_o r + b_o)
    c' = f * c + i * g
    m = o * tanh(c')
    r' = W_p m

As in torch, without the paper's peepholes and its second projection, which is not fed back.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.batch import State
from seqzoo.kernels import torch_rnn


class ProjectedLSTM(LSTM):
    """State: (r, c), (B, P) and (B, H). Output: r. Parameters as in `nn.LSTM(proj_size=P)`: `weight_hh` (4H, P) and,
    for W_p, `weight_hr` (P, H), initialised Xavier-uniform.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        projection_size: P, 1 to H; None: half of H, rounded up.
        options: as in `LSTM`.
    """

    def __init__(self, input_size: int, hidden_size: int, projection_size: int | None = None, **options: Any):
        projection_size = (hidden_size + 1) // 2 if projection_size is None else projection_size
        if not 1 <= projection_size <= hidden_size:
            raise ValueError(f"projection_size is {projection_size}: it must be 1 to hidden_size, here {hidden_size}")
        super().__init__(input_size, hidden_size, **options)
        self.output_size = projection_size
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, projection_size))
        self.weight_hr = nn.Parameter(torch.empty(projection_size, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if hasattr(self, "weight_hr"):  # not yet, when the parent calls
            nn.init.xavier_uniform_(self.weight_hr)

    @property
    def weights(self) -> list[Tensor]:
        return [*super().weights, self.weight_hr]

    def initial_state(self, batch_size: int) -> State:
        zeros = self.weight_hh.new_zeros
        return zeros(batch_size, self.output_size), zeros(batch_size, self.hidden_size)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        m, (_, c) = super().step(p, state)
        r = F.linear(m, self.weight_hr)
        return r, (r, c)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        # torch's kernel only projects if r is narrower than c
        if not self.is_torchs or self.output_size == self.hidden_size or not torch_rnn.usable(x):
            return None
        r, c = state
        with warnings.catch_warnings():
            # torch warns that oneDNN is not used; its own kernel is still three times as fast as single steps
            warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
            return torch_rnn.lstm(x, (r, c), self.weights, lengths)
