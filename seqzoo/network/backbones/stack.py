"""Layers above each other: what every backbone of recurrent layers shares.

Graves, Mohamed & Hinton, Speech Recognition with Deep Recurrent Neural Networks, 2013, https://arxiv.org/abs/1303.5778
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.state import flatten, map_state
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels.inputs import checked_state
from seqzoo.kernels.segments import Segments
from seqzoo.network.backbones.layer import Layer
from seqzoo.network.locked_dropout import create_dropout

MOST_LAYERS = 1000
"""Of a network: to build more takes minutes."""


class Stack(Backbone):
    """Recurrent layers, each of which reads the output of the one below. A subclass with other connections overrides
    `connect` and `handed_up`.

    State: a tuple over layers of tuples over directions of the cell's state. Output: the last layer's.

    Args:
        cell: of all layers, or a list with one per layer, the lowest first.
        input_size: of the lowest layer.
        hidden_size: one width for all layers, or a list with one per layer (then `num_layers` must agree).
        num_layers: number of layers.
        bidirectional: a second cell reads each row backwards inside its length; outputs are the two side by side.
        dropout: on the input of every layer but the first, 0 to 1.
        locked: keep one dropout mask for all steps of a row.
        learn_initial_state: the first state is a parameter instead of zero.
    """

    acts_with: ClassVar[dict[str, str]] = {"dropout": "num_layers>1", "locked": "dropout>0"}

    def __init__(
        self,
        cell: CellFactory | Sequence[CellFactory],
        input_size: int,
        hidden_size: int | list[int] = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        learn_initial_state: bool = False,
    ):
        super().__init__()
        check_depth(num_layers)
        cells = cell if isinstance(cell, Sequence) else [cell] * num_layers
        layers = build_layers(cells, input_size, hidden_size, bidirectional, self.handed_up)
        self.causal = len(layers[-1]) == 1
        # a second layer reads both directions of the first
        self.two_sided = len(layers) == 1 and not self.causal
        self.dropout = create_dropout(dropout, locked)
        self.layers = cast("list[Layer]", nn.ModuleList(layers))
        self.output_size = layers[-1].output_size
        self.first_state: nn.ParameterList | None = None
        if learn_initial_state:
            zeros = flatten(self._zero_state(1))
            self.first_state = nn.ParameterList(tensor.clone() for tensor in zeros if tensor.dim() > 1)

    @property
    def supports(self) -> Collection[str]:
        """Resets, and the time between steps where all layers do."""
        timed = all("elapsed" in layer.supports for layer in self.layers)
        return ("resets", "elapsed") if timed else ("resets",)

    def _zero_state(self, batch_size: int) -> State:
        return tuple(layer.initial_state(batch_size) for layer in self.layers)

    def initial_state(self, batch_size: int) -> State:
        zeros = self._zero_state(batch_size)
        if self.first_state is None:
            return zeros
        learned = iter(self.first_state)
        return map_state(lambda zero: next(learned).expand_as(zero) if zero.dim() > 1 else zero, zeros)

    def handed_up(self, input_size: int, output_size: int) -> int:
        """The width of what `connect` returns for a layer that is not the last."""
        return output_size

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        """What is handed up, (..., F), from what layer `depth` put out, (..., O), and what it was handed, (..., I).

        Without a time dimension, too: steps are not mixed. What the last layer hands up is zero at padded steps.
        """
        return outputs

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        steps = supported(steps, self)
        if steps.resets is not None:
            return self._over_segments(x, steps, state)
        return self.run(x, steps, self.initial_state(x.shape[0]) if state is None else state)

    def _over_segments(self, x: Tensor, steps: Steps, state: State | None) -> tuple[Tensor, State]:
        """As `forward`, with resets: both directions of all layers run on the segments between them."""
        segments, own = Segments(x, steps), self.initial_state(x.shape[0])
        initial = self.initial_state(segments.count)
        entering = _by_direction(segments.enter, checked_state(own if state is None else state, own), initial)
        outputs, after = self.run(segments.cut(x), segments.steps, entering)
        return segments.join(outputs), _by_direction(segments.leave, after)

    def run(self, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        """All layers over rows that nothing interrupts."""
        following = []
        for depth, (layer, states) in enumerate(zip(self.layers, state, strict=True)):
            outputs, after = layer.scan(x if depth == 0 else self.dropout(x), states, steps)
            x = self.connect(depth, outputs, x)
            following.append(after)
        return x, tuple(following)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        following = []
        for depth, (layer, states) in enumerate(zip(self.layers, state, strict=True)):
            output, after = layer.step(x if depth == 0 else self.dropout(x[:, None])[:, 0], states)
            x = self.connect(depth, output, x)
            following.append(after)
        return x, tuple(following)

    def last(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        ahead, *behind = self.layers[-1].directions
        last = super().last(outputs, lengths)
        if not behind:
            return last
        return torch.cat([last[:, : ahead.output_size], outputs[:, 0, ahead.output_size :]], dim=-1)


def _by_direction(change: Callable[..., State], *states: State) -> State:
    """`change` for each layer and direction; backwards is the second one, where there are two."""
    return tuple(
        tuple(change(*parts, backwards=bool(number)) for number, parts in enumerate(zip(*layers, strict=True)))
        for layers in zip(*states, strict=True)
    )


def check_depth(num_layers: int) -> None:
    """Raises ValueError for a number of layers that no network has."""
    if num_layers < 1:
        raise ValueError(f"num_layers is {num_layers}: a network has at least one layer")
    if num_layers > MOST_LAYERS:
        raise ValueError(f"num_layers is {num_layers:,}: a network has {MOST_LAYERS:,} layers at most")


def build_layers(
    cells: Sequence[CellFactory],
    input_size: int,
    hidden_size: int | list[int],
    bidirectional: bool,
    handed_up: Callable[[int, int], int] = lambda _, output_size: output_size,
) -> list[Layer]:
    """A layer for each cell, the lowest first.

    hidden_size: one width for all layers, or a list with one a layer.
    handed_up: (I, O) of a layer -> what the one above reads.
    """
    widths = [hidden_size] * len(cells) if isinstance(hidden_size, int) else list(hidden_size)
    if len(widths) != len(cells):
        raise ValueError(f"hidden_size lists {len(widths)} widths for num_layers={len(cells)}: give one a layer")
    if min(widths) < 1:
        raise ValueError(f"hidden_size is {hidden_size}: a layer has at least one unit")
    layers = []
    for cell, width in zip(cells, widths, strict=True):
        layers.append(Layer(cell, input_size, width, bidirectional))
        input_size = handed_up(input_size, layers[-1].output_size)
    return layers
