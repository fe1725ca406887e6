"""Echo state network: a fixed random reservoir; only what reads it learns.

Jaeger, The "Echo State" Approach to Analysing and Training Recurrent Neural Networks, 2001 (GMD Report 148),
https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf
Jaeger, Lukosevicius, Popovici & Siewert, Optimization and Applications of Echo State Networks with Leaky-Integrator
Neurons, 2007 (the leak), https://doi.org/10.1016/j.neunet.2007.04.016

    h' = (1 - a) * h + a * tanh(W x + U h + b)

W, U and b are drawn once and never trained. In the reports what reads the reservoir feeds back, too: its last output y
is then part of x, after the inputs proper, the target in training, its own output
in a closed loop (`seqzoo.learning.ridge`).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class EchoState(Cell):
    """State: (h,), (B, H). Buffers `weight_ih` (H, I), `weight_hh` (H, H) and `bias` (H,), drawn by torch's random
    numbers when the cell is built and saved with the state dict; no parameters.

    Every unit hears the same number of random units, at least one, so that there is a loop and U has an eigenvalue
    that is not zero; its weights are uniform and then scaled.

    spectral_radius: the largest absolute eigenvalue of U; below 1 what happened long ago is forgotten in practice.
    leak: a; 1 for none, small for slow units.
    input_scale: W is uniform between -input_scale and input_scale.
    feedback_size: how many of the inputs, the last ones, are outputs that feed back.
    feedback_scale: their columns of W are uniform between plus and minus this.
    bias_scale: the same for b.
    connectivity: share of the units that a unit hears.
    """

    acts_with: ClassVar[dict[str, str]] = {"feedback_scale": "feedback_size>0"}

    trainable = False
    """No gradient ever changes this cell; a head on top of it learns."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        spectral_radius: float = 0.9,
        leak: float = 1.0,
        input_scale: float = 1.0,
        bias_scale: float = 0.2,
        connectivity: float = 0.1,
        feedback_size: int = 0,
        feedback_scale: float = 1.0,
    ):
        scales = {"spectral_radius": spectral_radius, "input_scale": input_scale, "feedback_scale": feedback_scale}
        for name, value in scales.items():
            if value <= 0:
                raise ValueError(f"{name} is {value}: it must be above 0")
        for name, value in (("leak", leak), ("connectivity", connectivity)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}: it must be above 0 and at most 1")
        if bias_scale < 0:
            raise ValueError(f"bias_scale is {bias_scale}: it must be at least 0")
        if not 0 <= feedback_size <= input_size:
            raise ValueError(f"feedback_size is {feedback_size}: it is a part of the inputs, here {input_size}")
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.spectral_radius, self.leak, self.connectivity = spectral_radius, leak, connectivity
        self.input_scale, self.bias_scale = input_scale, bias_scale
        self.feedback_size, self.feedback_scale = feedback_size, feedback_scale
        self.register_buffer("weight_ih", torch.empty(hidden_size, input_size))
        self.register_buffer("weight_hh", torch.empty(hidden_size, hidden_size))
        self.register_buffer("bias", torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        self.weight_ih.uniform_(-self.input_scale, self.input_scale)
        self.weight_ih[:, self.input_size - self.feedback_size :] *= self.feedback_scale / self.input_scale
        self.bias.uniform_(-self.bias_scale, self.bias_scale)
        heard = max(1, round(self.connectivity * self.hidden_size))
        chosen = torch.rand_like(self.weight_hh).topk(heard, dim=1).indices
        weights = torch.empty_like(self.weight_hh, dtype=torch.float64).uniform_(-1, 1)
        weights = torch.zeros_like(weights).scatter(1, chosen, weights)
        radius = torch.linalg.eigvals(weights).abs().max()
        self.weight_hh.copy_(weights * (self.spectral_radius / radius))

    def initial_state(self, batch_size: int) -> State:
        """h, (B, H): zeros."""
        return (self.weight_hh.new_zeros(batch_size, self.hidden_size),)

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., H)"""
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        h = (1 - self.leak) * h + self.leak * torch.tanh(p + F.linear(h, self.weight_hh))
        return h, (h,)
