"""mLSTM, the matrix memory of xLSTM: exponential gates over key-value pairs, without hidden-to-hidden connections.

Beck et al., xLSTM: Extended Long Short-Term Memory, 2024, https://arxiv.org/abs/2405.04517

For each head of D units:

    q = W_q x + b_q    k = (W_k x + b_k) / sqrt(D)    v = W_v x + b_v
    i~ = w_i x + b_i   f~ = w_f x + b_f               o = sigmoid(W_o x + b_o)
    log f = f~ (exponential), or log sigmoid(f~)
    m' = max(log f + m, i~)
    i = exp(i~ - m')   f = exp(log f + m - m')
    C' = f C + i v k^T
    n' = f n + i k
    h' = o * C' q / max(|n' q|, exp(-m'))

C and n are the unstabilised ones of the paper divided by exp(m); the lower bound of the denominator there is 1. In the
authors' code i and f depend on q, k and v instead of x, and each head is normalised afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.cells.s_lstm import ForgetGate, check_heads, exponential_gates
from seqzoo.contracts.batch import State

# lower bound of the denominator of C q for any m, as in the authors' code
SMALLEST = 1e-6


class MLSTM(Cell):
    """State: (C, n, m). C: (B, H, D), the matrices of all heads stacked, rows for values and columns for keys; n:
    (B, H); m: (B, heads). Output: h. `weight_ih` (4H + 2 heads, I) and `bias` hold q k v o i f.

    As in the authors' code the weights of i and f are initialised with zeros, the biases of i normal with standard
    deviation 0.1, those of f evenly spaced from 3 to 6 over the heads, or 0 (f = 1) for an exponential forget gate. The
    other weights are Xavier-uniform.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        heads: number of heads; must divide hidden_size.
        forget_gate: activation of the forget gate: sigmoid, as in the authors' code, or exponential; the paper allows
            both.
    """

    def __init__(self, input_size: int, hidden_size: int, heads: int = 1, forget_gate: ForgetGate = "sigmoid"):
        super().__init__()
        check_heads(heads, hidden_size)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.heads = heads
        self.forget_gate: ForgetGate = forget_gate
        self.sizes = [*[hidden_size] * 4, heads, heads]
        self.weight_ih = nn.Parameter(torch.empty(sum(self.sizes), input_size))
        self.bias = nn.Parameter(torch.empty(sum(self.sizes)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight_ih)
        nn.init.zeros_(self.bias)
        for part in self.weight_ih.detach().split(self.sizes)[:4]:
            nn.init.xavier_uniform_(part)
        *_, bias_i, bias_f = self.bias.detach().split(self.sizes)
        nn.init.normal_(bias_i, std=0.1)
        if self.forget_gate == "sigmoid":
            bias_f.copy_(torch.linspace(3, 6, self.heads))

    def initial_state(self, batch_size: int) -> State:
        zeros, size = self.weight_ih.new_zeros, self.hidden_size
        return zeros(batch_size, size, size // self.heads), zeros(batch_size, size), zeros(batch_size, self.heads)

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 4H + 2 heads)"""
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        C, n = (part.unflatten(1, (self.heads, -1)) for part in state[:2])  # noqa: N806
        q, k, v, o, i, f = p.split(self.sizes, dim=-1)
        q, k, v = (part.unflatten(1, (self.heads, -1)) for part in (q, k, v))
        k = k / k.shape[-1] ** 0.5
        i, f, m = (gate[..., None] for gate in exponential_gates(i, f, state[2], self.forget_gate))
        C = f[..., None] * C + (i * v)[..., None] * k[..., None, :]  # noqa: N806
        n = f * n + i * k
        # numerator and denominator times exp(min(m, 0)), so that exp(-m) cannot overflow
        scale, least = torch.exp(m.clamp(max=0)), torch.exp(-m.clamp(min=0)).clamp(min=SMALLEST)
        read = scale * (C @ q[..., None])[..., 0]
        h = read / torch.maximum((scale * n * q).sum(-1, keepdim=True).abs(), least)
        return torch.sigmoid(o) * h.flatten(1), (C.flatten(1, 2), n.flatten(1), m[..., 0])
