"""A backbone without cells: the mean of the inputs so far and a linear layer. Its only option is its width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo import Backbone, State, Steps
from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.steps import supported


class RunningMean(Backbone):
    """width: size of the outputs."""

    causal = True

    def __init__(self, cell: CellFactory, input_size: int, width: int = 16):
        super().__init__()
        self.input_size, self.output_size = input_size, width
        self.linear = nn.Linear(input_size, width)

    def initial_state(self, batch_size: int) -> State:
        zeros = self.linear.weight.new_zeros
        return zeros(batch_size, self.input_size), zeros(batch_size)

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        lengths = supported(steps, self).lengths
        x = zero_padding(x, lengths)
        total, count = self.initial_state(len(x)) if state is None else state
        counts = count[:, None] + torch.arange(1, x.shape[1] + 1, device=x.device)
        sums = total[:, None] + x.cumsum(1)
        outputs = zero_padding(self.linear(sums / counts[..., None]), lengths)
        return outputs, (sums[:, -1], count + (x.shape[1] if lengths is None else lengths))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, state = self(x[:, None], None, state)
        return outputs[:, 0], state
