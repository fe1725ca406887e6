"""Time-delay neural network: a causal convolution over the last inputs.

Waibel, Hanazawa, Hinton, Shikano & Lang, Phoneme Recognition Using Time-Delay Neural Networks, 1989,
https://doi.org/10.1109/29.21701

    y = f(sum over k = 0 ... p - 1 of W_k x_{t-k} + b)

Each layer extends the receptive field by p - 1 steps. The sum may be over other delays k than the first p:

Peddinti, Povey & Khudanpur, A Time Delay Neural Network Architecture for Efficient Modeling of Long Temporal Contexts,
2015, https://doi.org/10.21437/Interspeech.2015-647
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.delay import convolve, kept, weigh
from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding


class TDNN(DrivenCell):
    """State: (x_{t-d} ... x_{t-1},), (B, d, I), with the longest delay d. Output: y, (B, H). A sequence is one
    convolution, or with `delays` one matrix product.

    Weights `weight_ih` (H, I, p), the newest input last, are initialised Xavier-uniform, the bias with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        window: p, so that the delays are 0 to p - 1.
        activation: the activation function f: a sigmoid in the paper.
        delays: p different delays, in steps. None: those of `window`.
    """

    acts_with: ClassVar[dict[str, str]] = {"window": "delays=null"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        window: int = 3,
        activation: Activation = "tanh",
        delays: list[int] | None = None,
    ):
        if window < 1:
            raise ValueError(f"window is {window}: it must be at least 1")
        if delays is not None and (not delays or min(delays) < 0 or len(set(delays)) < len(delays)):
            raise ValueError(f"delays is {delays}: give different numbers of steps, at least 0")
        super().__init__(input_size, hidden_size)
        self.window, self.activation = window, activation
        self.delays = None if delays is None else sorted(delays, reverse=True)
        self.longest = window - 1 if delays is None else max(delays)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size, len(delays or range(window))))
        self.reset_parameters()

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        return (self.weight_ih.new_zeros(batch_size, self.longest, self.input_size),)

    def project(self, x: Tensor) -> Tensor:
        """The input itself (..., I), because a step also needs previous inputs."""
        return x

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        line = torch.cat([state[0], p[:, None]], dim=1)
        read = line if self.delays is None else line[:, [self.longest - delay for delay in self.delays]]
        y = ACTIVATIONS[self.activation](weigh(read, self.weight_ih, self.bias))
        return y, (line[:, 1:],)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        line = torch.cat([state[0], x], dim=1)
        if self.delays is None:
            sums = convolve(line, self.weight_ih, self.bias)
        else:
            steps = x.shape[1]
            delayed = [line[:, start : start + steps] for start in (self.longest - delay for delay in self.delays)]
            sums = F.linear(torch.cat(delayed, dim=-1), self.weight_ih.transpose(1, 2).flatten(1), self.bias)
        y = ACTIVATIONS[self.activation](sums)
        return zero_padding(y, lengths), (kept(line, self.longest, lengths),)
