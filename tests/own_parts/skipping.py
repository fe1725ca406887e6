"""A cell that branches on its data: where no row of a batch updates, a step costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo import Cell, State


class Skipping(Cell):
    """h = tanh(W x + U h + b) where the mean size of W x + b is above a threshold; elsewhere h stays."""

    def __init__(self, input_size: int, hidden_size: int, threshold: float = 0.0):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.threshold = threshold
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size, bias=False)

    def initial_state(self, batch_size: int) -> State:
        return (self.recur.weight.new_zeros(batch_size, self.hidden_size),)

    def project(self, x: Tensor) -> Tensor:
        return self.read(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        updates = p.abs().mean(-1, keepdim=True) > self.threshold
        if not updates.any():
            return h, state
        h = torch.where(updates, torch.tanh(p + self.recur(h)), h)
        return h, (h,)
