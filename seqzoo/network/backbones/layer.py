"""One layer: a cell over time, in one direction or both.

Schuster & Paliwal, Bidirectional Recurrent Neural Networks, 1997, https://doi.org/10.1109/78.650093
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import Cell, CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels.step_results import first_state
from seqzoo.network.backbones.streams import side_by_side


class Layer(nn.ModuleList):
    """A cell that reads forwards and, if `bidirectional`, a second one that reads the real steps of each row backwards.

    State: a tuple over directions of the cell's state. Output: (B, T, O), both directions concatenated.
    """

    def __init__(self, cell: CellFactory, input_size: int, hidden_size: int, bidirectional: bool):
        super().__init__(cell(input_size, hidden_size) for _ in range(2 if bidirectional else 1))
        self.input_size = self.directions[0].input_size
        self.output_size = sum(direction.output_size for direction in self.directions)

    @property
    def supports(self) -> Collection[str]:
        """The fields that the cell supports; none in both directions."""
        return () if len(self) > 1 else self.directions[0].supports

    @property
    def directions(self) -> list[Cell]:
        return cast("list[Cell]", list(self))

    def initial_state(self, batch_size: int) -> State:
        return tuple(first_state(cell, batch_size) for cell in self.directions)

    def scan(self, x: Tensor, state: State, steps: Steps | Tensor | None) -> tuple[Tensor, State]:
        """Run over sequences: (B, T, I) -> (B, T, O), zero at padded steps, and the state after the last real steps.

        A bidirectional layer only reads lengths, because a backbone cuts rows at resets for all layers at once.
        """
        ahead, *behind = self.directions
        if not behind:
            outputs, after = ahead.scan(x, state[0], steps)
            return outputs, (after,)
        steps = supported(steps, self)
        _, lengths = ahead.checked(x, state[0], steps.lengths)  # before rows are reversed

        def backwards() -> tuple[Tensor, State]:
            order = reversal(x, lengths)
            outputs, after = behind[0].scan(reverse(x, order), state[1], lengths)
            return reverse(outputs, order), after

        reads = [x, *flatten(state[1]), *([] if lengths is None else [lengths])]
        (outputs, after), (back, back_after) = side_by_side(reads, lambda: ahead.scan(x, state[0], lengths), backwards)
        return torch.cat([outputs, back], dim=-1), (after, back_after)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step: (B, I) -> (B, O) and the next state. Raises ValueError if the layer is bidirectional."""
        if len(self) > 1:
            raise ValueError("a bidirectional network cannot go step by step: it needs the whole sequence")
        output, after = self.directions[0](x, state[0])
        return output, (after,)


def reversal(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Indices (B, T) that reverse the real steps of each row of x (B, T, ...) and leave padded steps in place."""
    if lengths is None:
        return None
    steps = torch.arange(x.shape[1], device=x.device)
    return torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)


def reverse(x: Tensor, order: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, T, F), reversed by the indices of `reversal`; its own inverse."""
    return x.flip(1) if order is None else x.gather(1, order[..., None].expand_as(x))
