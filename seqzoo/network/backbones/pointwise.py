"""Layers without recurrence, for steps without order, such as the regions of a picture."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths, largest_of, zero_padding
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.steps import Steps, supported
from seqzoo.network.backbones.stack import check_depth
from seqzoo.network.locked_dropout import create_dropout


class Pointwise(Backbone):
    """Layers that read each step independently; the cell is not used. State: (). `last` is the maximum of each feature
    over all steps.

    Args:
        hidden_size: units per layer.
        num_layers: number of layers.
        dropout: dropout on the input of every layer but the first.
    """

    acts_with: ClassVar[dict[str, str]] = {"dropout": "num_layers>1"}

    causal = True

    def __init__(
        self, cell: CellFactory, input_size: int, hidden_size: int = 128, num_layers: int = 1, dropout: float = 0.0
    ):
        super().__init__()
        check_depth(num_layers)
        if hidden_size < 1:
            raise ValueError(f"hidden_size is {hidden_size}: it must be at least 1")
        widths = [input_size] + num_layers * [hidden_size]
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.dropout = create_dropout(dropout)
        self.output_size = hidden_size

    @property
    def supports(self) -> Collection[str]:
        """Resets: there is no state."""
        return ("resets",)

    def initial_state(self, batch_size: int) -> State:
        return ()

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        lengths = supported(steps, self).lengths
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape, x.device)
        x, after = self.step(zero_padding(x, lengths), ())
        return zero_padding(x, lengths), after

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        for depth, layer in enumerate(self.layers):
            x = F.gelu(layer(x if depth == 0 else self.dropout(x)))
        return x, ()

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        return largest_of(outputs, lengths)
