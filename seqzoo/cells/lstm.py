"""Long short-term memory.

Hochreiter & Schmidhuber, Long Short-Term Memory, 1997, https://doi.org/10.1162/neco.1997.9.8.1735
Gers, Schmidhuber & Cummins, Learning to Forget, 2000 (the forget gate), https://doi.org/10.1162/089976600300015015
Jozefowicz, Zaremba & Sutskever, An Empirical Exploration of Recurrent Network Architectures, 2015 (forget bias 1),
https://proceedings.mlr.press/v37/jozefowicz15.html

    i = sigmoid(W_i x + U_i h + b_i)
    f = sigmoid(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)
    o = sigmoid(W_o x + U_o h + b_o)
    c' = f * c + i * g
    h' = o * tanh(c')
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State
from seqzoo.kernels import torch_rnn


class LSTM(GatedCell):
    """State: (h, c), both (B, H). Gates in torch's order, i f g o.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        forget_bias: initial bias of the forget gate; 0 in the original paper.
        output_activation: activation of c' in the output; identity: h' = o * c'.
        layer_norm: layer normalisation of W x, of U h, and of c' before the output.
        activation: activation function of the candidate g.
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    keep_gate = "f"
    write_gate: str | None = "i"
    num_states = 2
    torch_first = ("cpu", "cuda")  # oneDNN, cuDNN

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        output_activation: Activation = "tanh",
        **options: Any,
    ):
        self.forget_bias, self.output_activation = forget_bias, output_activation
        super().__init__(input_size, hidden_size, **options)
        if self.layer_norm:
            self.norm_c = nn.LayerNorm(hidden_size)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.set_bias("f", self.forget_bias)

    def read(self, c: Tensor) -> Tensor:
        """The value of c' that the output gate multiplies, (B, H)."""
        return ACTIVATIONS[self.output_activation](self.norm_c(c) if self.layer_norm else c)

    @property
    def is_torchs(self) -> bool:
        """Whether the options are those of `torch.nn.LSTM`, which torch's kernels support."""
        return not self.layer_norm and self.activation == self.output_activation == "tanh"

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        i, f, g, o = (p + self.recur(h)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * ACTIVATIONS[self.activation](g)
        h = torch.sigmoid(o) * self.read(c)
        return h, (h, c)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        if not self.is_torchs or not torch_rnn.usable(x):
            return None
        h, c = state
        return torch_rnn.lstm(x, (h, c), self.weights, lengths)
