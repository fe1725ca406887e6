"""JANET, "just another network": an LSTM with nothing but the forget gate.

van der Westhuizen & Lasenby, The Unreasonable Effectiveness of the Forget Gate, 2018, https://arxiv.org/abs/1804.04849
Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, 2018 (chrono initialisation), https://arxiv.org/abs/1804.11188

    s = W_s x + U_s h + b_s
    g = tanh(W_g x + U_g h + b_g)
    h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * g
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.gated import GatedCell
from seqzoo.contracts import State


class Janet(GatedCell):
    """State: (h,), (B, H): the cell is the output. Gates s g.

    beta: above 0, more is written than was forgotten; 0 couples the two.
    forget_bias: where the forget gate's bias starts, unless chrono_steps is given.
    chrono_steps: about how many steps to remember, T, as in the paper: the forget gate's biases start at log(u), u
        uniform from 1 to T - 1, so that the units forget over 2 to T steps; null: forget_bias.
    layer_norm: normalise x W and h U.
    """

    num_gates = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        beta: float = 1.0,
        forget_bias: float = 1.0,
        chrono_steps: int | None = None,
        layer_norm: bool = False,
    ):
        if chrono_steps is not None and chrono_steps < 2:
            raise ValueError(f"chrono_steps is {chrono_steps}: it must be at least 2, or null")
        self.beta, self.forget_bias, self.chrono_steps = beta, forget_bias, chrono_steps
        super().__init__(input_size, hidden_size, layer_norm)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        bias = self.bias_ih.detach()[: self.hidden_size]
        if self.chrono_steps is None:
            nn.init.constant_(bias, self.forget_bias)
        else:
            nn.init.uniform_(bias, 1, self.chrono_steps - 1).log_()

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        s, g = (p + self.recur(h)).chunk(2, dim=-1)
        # 1 - sigmoid(a) = sigmoid(-a), without the rounding
        h = torch.sigmoid(s) * h + torch.sigmoid(self.beta - s) * torch.tanh(g)
        return h, (h,)
