"""Time-delay neural network: a causal convolution over the last inputs.

Waibel, Hanazawa, Hinton, Shikano & Lang, Phoneme Recognition Using Time-Delay Neural Networks, 1989,
https://doi.org/10.1109/29.21701

    y = f(sum over k = 0 ... p - 1 of W_k x_{t-k} + b)

Each layer extends the receptive field by p - 1 steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.delay import convolve, kept, weigh
from seqzoo.cells.driven import DrivenCell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding


class TDNN(DrivenCell):
    """State: (x_{t-p+1} ... x_{t-1},), (B, p - 1, I). Output: y, (B, H). A sequence is one convolution.

    Weights `weight_ih` (H, I, p), the newest input last, are initialised Xavier-uniform, the bias with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        window: width p of the convolution, in steps.
        activation: the activation function f: a sigmoid in the paper.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        window: int = 3,
        activation: Activation = "tanh",
    ):
        if window < 1:
            raise ValueError(f"window is {window}: it must be at least 1")
        super().__init__(input_size, hidden_size)
        self.window, self.activation = window, activation
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size, window))
        self.reset_parameters()

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        return (self.weight_ih.new_zeros(batch_size, self.window - 1, self.input_size),)

    def project(self, x: Tensor) -> Tensor:
        """The input itself (..., I), because a step also needs previous inputs."""
        return x

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        line = torch.cat([state[0], p[:, None]], dim=1)
        y = ACTIVATIONS[self.activation](weigh(line, self.weight_ih, self.bias))
        return y, (line[:, 1:],)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        (past,) = state
        line = torch.cat([past, x], dim=1)
        y = ACTIVATIONS[self.activation](convolve(line, self.weight_ih, self.bias))
        return zero_padding(y, lengths), (kept(line, self.window - 1, lengths),)
