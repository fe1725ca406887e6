"""Base class of cells with an input W x + b and a recurrence of any form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class DrivenCell(Cell):
    """Parameters: `weight_ih` (GH, I) and `bias` (GH,), where G is the number of parts of the projected input.

    Input weights are initialised Xavier-uniform, part by part, the bias with zeros. A subclass calls `reset_parameters`
    when it has created all of its parameters.

    Args:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        num_parts: number G of parts.

    Attributes:
        gates, keep_gate, write_gate, num_states: as in `GatedCell`, for the parts of `bias`.
    """

    gates: tuple[str, ...] = ()
    keep_gate: str | None = None
    write_gate: str | None = None
    num_states: int = 1

    def __init__(self, input_size: int, hidden_size: int, num_parts: int = 1):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.num_parts = num_parts
        self.weight_ih = nn.Parameter(torch.empty(num_parts * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(num_parts * hidden_size))

    def reset_parameters(self) -> None:
        for part in self.weight_ih.detach().chunk(self.num_parts):
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(self.bias)

    def set_bias(self, gate: str, value: float | Tensor) -> None:
        """Set the bias of a gate to a number or a vector (H,)."""
        start = self.gates.index(gate) * self.hidden_size
        with torch.no_grad():
            self.bias[start : start + self.hidden_size] = value

    def initial_state(self, batch_size: int) -> State:
        """`num_states` tensors of zeros, (B, H)."""
        return tuple(self.weight_ih.new_zeros(batch_size, self.hidden_size) for _ in range(self.num_states))

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., GH)"""
        return F.linear(x, self.weight_ih, self.bias)
