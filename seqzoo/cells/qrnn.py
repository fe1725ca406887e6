"""Quasi-recurrent network: a convolution over the last inputs, then pooling over time.

Bradbury, Merity, Xiong & Socher, Quasi-Recurrent Neural Networks, 2017, https://arxiv.org/abs/1611.01576

    z = tanh(sum over k of W_z,k x_{t-k} + b_z)
    f = sigmoid(sum over k of W_f,k x_{t-k} + b_f)
    o = sigmoid(sum over k of W_o,k x_{t-k} + b_o)
    c' = f * c + (1 - f) * z
    h' = o * c'

f-pooling has no o: h' = c'. ifo-pooling has an additional gate i instead of 1 - f.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seqzoo.cells.delay import kept, weigh
from seqzoo.cells.driven import DrivenCell
from seqzoo.cells.linear import LinearRecurrence
from seqzoo.contracts.batch import State
from seqzoo.kernels import engines


class QRNN(DrivenCell):
    """State: c (B, H), and the last window - 1 inputs (B, window - 1, I). Output: h', (B, H).

    Gates: z f, then o, then i. Weights `weight_ih` (GH, I, window), the newest input last, are initialised
    Xavier-uniform, biases with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        window: width of the convolution, in steps.
        pooling: the variant of the paper: f, fo or ifo.
    """

    gates = ("z", "f", "o", "i")
    keep_gate = "f"

    def __init__(self, input_size: int, hidden_size: int, window: int = 2, pooling: Literal["f", "fo", "ifo"] = "fo"):
        if window < 1:
            raise ValueError(f"window is {window}: it must be at least 1")
        super().__init__(input_size, hidden_size, num_parts=1 + len(pooling))
        self.window, self.pooling = window, pooling
        self.write_gate = "i" if pooling == "ifo" else None
        self.weight_ih = nn.Parameter(torch.empty(self.num_parts * hidden_size, input_size, window))
        self.pool = Pool(hidden_size, pooling)
        self.reset_parameters()

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        return (
            self.weight_ih.new_zeros(batch_size, self.hidden_size),
            self.weight_ih.new_zeros(batch_size, self.window - 1, self.input_size),
        )

    def project(self, x: Tensor) -> Tensor:
        """The input itself (..., I), because a step also needs previous inputs."""
        return x

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        c, past = state
        line = torch.cat([past, p[:, None]], dim=1)
        h, (c,) = self.pool.step(weigh(line, self.weight_ih, self.bias), (c,))
        return h, (c, line[:, 1:])

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """All windows in one matrix product, which, unlike a convolution, keeps the memory layout that the pooling
        needs; the pooling is a separate cell with its own engine.
        """
        c, past = state
        line = torch.cat([past, x], dim=1)
        windows = line.unfold(1, self.window, 1).flatten(0, 1).transpose(1, 2)
        parts = weigh(windows, self.weight_ih, self.bias).unflatten(0, x.shape[:2])
        self.pool.engine = self.engine
        h, (c,) = engines.scan(self.pool, parts, (c,), lengths)
        return h, (c, kept(line, self.window - 1, lengths))


class Pool(LinearRecurrence):
    """The pooling as a cell: reads all gates (B, GH), with the state c, (B, H)."""

    def __init__(self, hidden_size: int, pooling: str):
        super().__init__()
        self.num_parts = 1 + len(pooling)
        self.input_size, self.hidden_size, self.output_size = self.num_parts * hidden_size, hidden_size, hidden_size
        self.pooling = pooling

    def initial_state(self, batch_size: int) -> State:
        return (torch.zeros(batch_size, self.hidden_size),)

    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        z, f, *_ = p.chunk(self.num_parts, dim=-1)
        f = torch.sigmoid(f)
        i = torch.sigmoid(p[..., -self.hidden_size :]) if self.pooling == "ifo" else 1 - f
        return f, i * torch.tanh(z)

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        return h if self.pooling == "f" else torch.sigmoid(p.chunk(self.num_parts, dim=-1)[2]) * h
