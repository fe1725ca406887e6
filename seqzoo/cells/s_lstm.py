"""sLSTM, the scalar memory of xLSTM: exponential gates with a normaliser and a stabiliser.

Beck et al., xLSTM: Extended Long Short-Term Memory, 2024, https://arxiv.org/abs/2405.04517

    i~ = W_i x + R_i h + b_i        f~ = W_f x + R_f h + b_f
    z = tanh(W_z x + R_z h + b_z)   o = sigmoid(W_o x + R_o h + b_o)
    log f = f~ (exponential), or log sigmoid(f~)
    m' = max(log f + m, i~)
    i = exp(i~ - m')                f = exp(log f + m - m')
    c' = f * c + i * z
    n' = f * n + i
    h' = o * c' / n'

c and n are the unstabilised ones of the paper divided by exp(m), which cancels in c' / n'. In the initial state, n = 0,
there is nothing to keep and m' = i~; afterwards n >= 1 in every unit.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State

ForgetGate = Literal["sigmoid", "exponential"]


def exponential_gates(i: Tensor, f: Tensor, m: Tensor, forget_gate: ForgetGate) -> tuple[Tensor, Tensor, Tensor]:
    """The gates i and f and the stabiliser m', from i~, f~ and m of the same shape."""
    kept = m + (F.logsigmoid(f) if forget_gate == "sigmoid" else f)
    following = torch.maximum(kept, i)
    return torch.exp(i - following), torch.exp(kept - following), following


class SLSTM(GatedCell):
    """State: (h, c, n, m), each (B, H). Gates i f z o. `weight_hh` is R, (4H, H / heads), block diagonal: the rows of a
    head are multiplied with that head's part of h.

    The biases of the forget gate are initialised evenly spaced from 3 to 6, one of the options in the authors' code, or
    with 0 (f = 1) for an exponential one; R is orthogonal, head by head, where that code has zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        heads: number of heads, between which there are no recurrent connections; must divide hidden_size.
        forget_gate: activation of the forget gate: sigmoid, as in the authors' code, or exponential; the paper allows
            both.
        layer_norm: layer normalisation of W x and R h.
        activation: activation function of the candidate z.
    """

    gates = ("i", "f", "z", "o")
    num_states = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        heads: int = 1,
        forget_gate: ForgetGate = "sigmoid",
        **options: Any,
    ):
        check_heads(heads, hidden_size)
        self.heads = heads
        self.forget_gate: ForgetGate = forget_gate
        # an exponential forget gate keeps everything at bias 0, and i acts relative to the normaliser
        self.keep_gate = "f" if forget_gate == "sigmoid" else None
        super().__init__(input_size, hidden_size, **options)
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size // heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.forget_gate == "sigmoid":
            self.set_bias("f", torch.linspace(3, 6, self.hidden_size))

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """One matrix per gate and head."""
        return list(self.weight_hh.detach().chunk(4 * self.heads))

    def recur(self, h: Tensor) -> Tensor:
        """(B, H) -> (B, 4H)"""
        if self.heads == 1:
            return super().recur(h)
        R = self.weight_hh.unflatten(0, (4, self.heads, -1))  # noqa: N806
        product = torch.einsum("gkij,bkj->bgki", R, h.unflatten(1, (self.heads, -1))).flatten(1)
        return (self.norm_hh(product) if self.layer_norm else product) + self.bias_hh

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c, n, m = state
        i, f, z, o = (p + self.recur(h)).chunk(4, dim=-1)
        m = m.masked_fill(n == 0, -torch.inf)
        i, f, m = exponential_gates(i, f, m, self.forget_gate)
        c = f * c + i * ACTIVATIONS[self.activation](z)
        n = f * n + i
        # n >= 1 after every step; the bound keeps states from the caller finite
        h = torch.sigmoid(o) * c / n.clamp(min=1)
        return h, (h, c, n, m)


def check_heads(heads: int, hidden_size: int) -> None:
    """Raises ValueError if the number of heads does not divide hidden_size."""
    if heads < 1 or hidden_size % heads:
        raise ValueError(f"heads is {heads}: it must be at least 1 and divide hidden_size, here {hidden_size}")
