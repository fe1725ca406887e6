"""GRU-D: a gated recurrent unit whose state, and whose last known inputs, decay with time.

Che, Purushotham, Cho, Sontag & Liu, Recurrent Neural Networks for Multivariate Time Series with Missing Values, 2018,
https://doi.org/10.1038/s41598-018-24271-9

    x' = m * x + (1 - m) * exp(-max(0, w_x * t + b_x)) * x
    g = exp(-max(0, W_g t + b_g)) * h
    r = sigmoid(W_r x' + V_r m + U_r g + b_r)
    z = sigmoid(W_z x' + V_z m + U_z g + b_z)
    n = tanh(W_n x' + V_n m + U_n (r * g) + b_n)
    h' = (1 - z) * n + z * g

x has the last known values, scaled to a mean of 0, m is 1 where a value is current, else 0, and t is the time since one
was known. The paper's z is 1 - z. Here the gates read t, too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.split import SplitGatedCell
from seqzoo.contracts.batch import State


class GRUD(SplitGatedCell):
    """State: (h,), (B, H). Gates r z n, whose weights act on x', m and t.

    The inputs of a step are those of series with missing values (`seqzoo.data.channels.model_inputs`): C values, C
    masks, and C times, log(1 + t), to which the time since the step before is added if that varies.

    Parameters besides those of the gates: `weight_x`, `bias_x` (C,), and `weight_g` (H, I - 2C), `bias_g` (H,), drawn
    like input weights. At first the inputs decay slowly.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        channels: C. None: the inputs are of any kind and do not decay, and the decay of the state depends on all of
            them.
        layer_norm, activation: as in `GRUResetBefore`.
    """

    gates = ("r", "z", "n")
    keep_gate = "z"

    def __init__(self, input_size: int, hidden_size: int, channels: int | None = None, **options: Any):
        if channels is not None and not 1 <= channels <= input_size // 3:
            raise ValueError(
                f"channels is {channels}: each is a value, a mask and a time, and a step has {input_size} inputs"
            )
        super().__init__(input_size, hidden_size, **options)
        self.channels = channels
        if channels is not None:
            self.weight_x = nn.Parameter(torch.empty(channels))
            self.bias_x = nn.Parameter(torch.empty(channels))
        self.weight_g = nn.Parameter(torch.empty(hidden_size, input_size - 2 * (channels or 0)))
        self.bias_g = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if not hasattr(self, "bias_g"):  # not yet in the call of the base class
            return
        nn.init.xavier_uniform_(self.weight_g)
        nn.init.zeros_(self.bias_g)
        if self.channels is not None:
            nn.init.constant_(self.weight_x, 0.1)
            nn.init.zeros_(self.bias_x)

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., 4H): the input part of the gates and of the decay of the state."""
        times = x
        if self.channels is not None:
            values, known, times = x.split([self.channels, self.channels, x.shape[-1] - 2 * self.channels], dim=-1)
            decay = _decay(times[..., : self.channels] * self.weight_x + self.bias_x)
            x = torch.cat([(known + (1 - known) * decay) * values, known, times], dim=-1)
        return torch.cat([super().project(x), F.linear(times, self.weight_g, self.bias_g)], dim=-1)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        x_gates, x_n, exponent = p.split([2 * self.hidden_size, self.hidden_size, self.hidden_size], dim=-1)
        h = _decay(exponent) * h
        r, z = torch.sigmoid(x_gates + self.recur_gates(h)).chunk(2, dim=-1)
        n = ACTIVATIONS[self.activation](x_n + self.recur_last(r * h))
        h = (1 - z) * n + z * h
        return h, (h,)


def _decay(exponent: Tensor) -> Tensor:
    return (-exponent.relu()).exp()
