"""Dilated layers: recurrent connections that skip more steps from layer to layer.

Chang et al., Dilated Recurrent Neural Networks, 2017, https://arxiv.org/abs/1710.02224

    h_t = cell(x_t, h_{t-d}), where d = 1, M, M^2, ... from the lowest layer up

Paths through time are shorter by the factor d, and so is the scan: the d sequences of every d-th step are independent
and run in parallel.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.cell import Cell, CellFactory, CellScan
from seqzoo.contracts.batch import State
from seqzoo.contracts.state import map_state, reorder
from seqzoo.kernels import step_results
from seqzoo.network.backbones.stack import Stack, check_depth

MAX_DILATION = 10_000


class Dilated(Stack):
    """State: a tuple over layers of tuples over directions of the last d states of the cell, oldest first. With
    `learn_initial_state` the d initial states of each layer are learned.

    Args:
        growth: M, ratio of the dilations of consecutive layers.
    """

    acts_with: ClassVar[dict[str, str]] = {"growth": "num_layers>1"}

    def __init__(self, cell: CellFactory, input_size: int, num_layers: int = 3, growth: int = 2, **options: Any):
        if growth < 1:
            raise ValueError(f"growth is {growth}: it must be at least 1")
        check_depth(num_layers)
        if growth > 1 and (num_layers - 1) * math.log(growth) > math.log(MAX_DILATION):
            raise ValueError(
                f"growth is {growth}: layer {num_layers} would have a dilation above {MAX_DILATION:,}; "
                "choose fewer layers or a smaller growth"
            )
        cells = [functools.partial(dilate, cell, growth**depth) for depth in range(num_layers)]
        super().__init__(cells, input_size, num_layers=num_layers, **options)


def dilate(cell: CellFactory, dilation: int, input_size: int, hidden_size: int) -> Cell:
    """A cell whose recurrent connection is from `dilation` steps before. A dilation of 1 is wrapped, too, so that
    states have the same form.
    """
    return DilatedCell(cell(input_size, hidden_size), dilation)


class DilatedCell(Cell):
    """State: the last d states of `cell`, oldest first."""

    def __init__(self, cell: Cell, dilation: int):
        super().__init__()
        self.cell, self.dilation = cell, dilation
        self.input_size, self.hidden_size, self.output_size = cell.input_size, cell.hidden_size, cell.output_size

    def initial_state(self, batch_size: int) -> State:
        return tuple(step_results.first_state(self.cell, batch_size) for _ in range(self.dilation))

    def project(self, x: Tensor) -> Tensor:
        return step_results.project(self.cell, x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        output, following = step_results.step(self.cell, p, state[0])
        return output, (*state[1:], following)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        if by is not None:
            return by(x, state, lengths)
        state, lengths = self.checked(x, state, lengths)
        if x.dim() == 2:
            output, following = self.cell(x, state[0])
            return output, (*state[1:], following)
        rows, steps, d = x.shape[0], x.shape[1], self.dilation
        padding = -steps % d
        whole = lengths is None and padding == 0
        if lengths is None:
            lengths = torch.full((rows,), steps, device=x.device)
        # row b, step s d + k -> row b d + k, step s
        folded = F.pad(x, (0, 0, 0, padding)).unflatten(1, (-1, d)).transpose(1, 2).flatten(0, 1)
        first = map_state(lambda *parts: torch.stack(parts, dim=1).flatten(0, 1), *state)
        k = torch.arange(d, device=x.device)
        real = (lengths[:, None] + d - 1 - k).div(d, rounding_mode="floor").flatten()
        outputs, after = self.cell.scan(folded, first, None if whole else real)
        outputs = outputs.unflatten(0, (rows, d)).transpose(1, 2).flatten(1, 2)[:, :steps]
        # the oldest state belongs to the sequence that the next step continues
        order = (lengths[:, None] + k) % d + d * torch.arange(rows, device=x.device)[:, None]
        return outputs, tuple(reorder(after, index) for index in order.unbind(1))
