"""A cell unrolled over time: deep, in one or both directions, with residual connections.

Schuster & Paliwal, Bidirectional Recurrent Neural Networks, 1997, https://doi.org/10.1109/78.650093
Graves, Mohamed & Hinton, Speech Recognition with Deep Recurrent Neural Networks, 2013, https://arxiv.org/abs/1303.5778
Wu et al., Google's Neural Machine Translation System, 2016 (residual layers), https://arxiv.org/abs/1609.08144
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from seqzoo.backbones.locked_dropout import LockedDropout
from seqzoo.contracts import Backbone, Cell, CellFactory, State
from seqzoo.state import flatten, map_state, unflatten


class Recurrent(Backbone):
    """State: a tuple over layers of tuples over directions of the cell's state.

    hidden_size: one width for all layers, or a list with one a layer (then `num_layers` must agree).
    bidirectional: a second cell reads each row backwards inside its length; outputs are the two halves side by side.
    dropout: on the input of every layer but the first, 0 to 1; `locked` keeps one mask for all steps of a row.
    residual: every layer but the first adds its input to its output, where the two have one width.
    learn_initial_state: the first state is a parameter instead of zero.
    """

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        hidden_size: int | list[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        residual: bool = False,
        learn_initial_state: bool = False,
    ):
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}: a network has at least one layer")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}: it is a probability, 0 <= dropout < 1")
        widths = [hidden_size] * num_layers if isinstance(hidden_size, int) else list(hidden_size)
        if len(widths) != num_layers:
            raise ValueError(f"hidden_size lists {len(widths)} widths for num_layers={num_layers}: give one a layer")
        if min(widths) < 1:
            raise ValueError(f"hidden_size is {hidden_size}: a layer has at least one unit")
        self.causal = not bidirectional
        self.residual = residual
        self.dropout = LockedDropout(dropout) if locked else nn.Dropout(dropout)
        layers = []
        for width in widths:
            directions = [cell(input_size, width) for _ in range(2 if bidirectional else 1)]
            layers.append(nn.ModuleList(directions))
            input_size = sum(direction.output_size for direction in directions)
        self.layers = cast("list[list[Cell]]", nn.ModuleList(layers))
        self.output_size = input_size
        self.first_state: nn.ParameterList | None = None
        if learn_initial_state:
            self.first_state = nn.ParameterList(tensor.clone() for tensor in flatten(self._zero_state(1)))

    def _zero_state(self, batch_size: int) -> State:
        return tuple(tuple(cell.initial_state(batch_size) for cell in directions) for directions in self.layers)

    def initial_state(self, batch_size: int) -> State:
        zeros = self._zero_state(batch_size)
        if self.first_state is None:
            return zeros
        return map_state(lambda learned, zero: learned.expand_as(zero), unflatten(list(self.first_state), zeros), zeros)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(x.shape[0]) if state is None else state
        following = []
        for depth, (directions, states) in enumerate(zip(self.layers, state, strict=True)):
            layer_input = x if depth == 0 else self.dropout(x)
            outputs, after = self._scan(directions, layer_input, states, lengths)
            x = self._add_input(depth, outputs, x)
            following.append(after)
        return x, tuple(following)

    def _scan(self, directions: list[Cell], x: Tensor, states: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        if self.causal:
            outputs, after = directions[0].scan(x, states[0], lengths)
            return outputs, (after,)
        order = reversal(x, lengths)
        ahead, ahead_state = directions[0].scan(x, states[0], lengths)
        back, back_state = directions[1].scan(reverse(x, order), states[1], lengths)
        return torch.cat([ahead, reverse(back, order)], dim=-1), (ahead_state, back_state)

    def _add_input(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        # not around the first layer, whose input is not zero at padded steps
        return outputs + x if self.residual and depth > 0 and outputs.shape == x.shape else outputs

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.causal:
            raise ValueError("a bidirectional network cannot go step by step: the end must be known first")
        following = []
        for depth, (directions, states) in enumerate(zip(self.layers, state, strict=True)):
            layer_input = x if depth == 0 else self.dropout(x[:, None])[:, 0]
            output, after = directions[0](layer_input, states[0])
            x = self._add_input(depth, output, x)
            following.append((after,))
        return x, tuple(following)

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        ahead = super().last(outputs, lengths)
        if self.causal:
            return ahead
        middle = self.layers[-1][0].output_size
        return torch.cat([ahead[:, :middle], outputs[:, 0, middle:]], dim=-1)


def reversal(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """x: (B, T, ...) -> (B, T) indices that turn each row around inside its length and leave the padding where it
    is.
    """
    if lengths is None:
        return None
    steps = torch.arange(x.shape[1], device=x.device)
    return torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)


def reverse(x: Tensor, order: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, T, F), turned around by `reversal`; its own inverse."""
    return x.flip(1) if order is None else x.gather(1, order[..., None].expand_as(x))
