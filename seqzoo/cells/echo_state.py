"""Echo state network: a fixed random reservoir, of which only the readout is trained.

Jaeger, The "Echo State" Approach to Analysing and Training Recurrent Neural Networks, 2001 (GMD Report 148),
https://www.ai.rug.nl/minds/uploads/EchoStatesTechRep.pdf
Jaeger, Lukosevicius, Popovici & Siewert, Optimization and Applications of Echo State Networks with Leaky-Integrator
Neurons, 2007 (the leak), https://doi.org/10.1016/j.neunet.2007.04.016

    h' = (1 - a) * h + a * tanh(W x + U h + b)

W, U and b are drawn once and never trained; `learning=ridge` solves for the readout. In the reports there is also
feedback: the last output y of the readout is then part of x, after the other inputs; in training it is the target, in a
closed loop the output (`seqzoo.tasks.forecasting`).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class EchoState(Cell):
    """State: (h,), (B, H). Buffers: `weight_ih` (H, I), `weight_hh` (H, H) and `bias` (H,), drawn with torch's random
    generator when the cell is built, and part of the state dict. There are no parameters.

    Every unit has the same number of recurrent weights, at least one, so that there is a cycle and U has a nonzero
    eigenvalue. They are uniform and then scaled to the spectral radius.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        spectral_radius: largest absolute eigenvalue of U; below 1 the influence of past inputs fades in practice.
        leak: a, the leaking rate: 1 for no leak, smaller for slower units.
        input_scale: input weights W are drawn uniformly from +- this value.
        feedback_size: number of inputs, counted from the last one, that are outputs fed back.
        feedback_scale: feedback weights are drawn uniformly from +- this value.
        bias_scale: biases are drawn uniformly from +- this value.
        connectivity: share of each unit's recurrent weights that are not zero; at least one weight.
    """

    acts_with: ClassVar[dict[str, str]] = {"feedback_scale": "feedback_size>0"}

    trainable = False
    """The cell is never trained, only the head on top of it."""

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
            raise ValueError(
                f"feedback_size is {feedback_size}: it must be 0 to the number of inputs, here {input_size}"
            )
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
        connections = max(1, round(self.connectivity * self.hidden_size))
        columns = torch.rand_like(self.weight_hh).topk(connections, dim=1).indices
        weights = torch.empty_like(self.weight_hh, dtype=torch.float64).uniform_(-1, 1)
        weights = torch.zeros_like(weights).scatter(1, columns, weights)
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
