"""Base class of backbones of stacked recurrent layers.

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

MAX_LAYERS = 1000
"""More layers would take minutes to build."""


class Stack(Backbone):
    """Recurrent layers, each of which reads the output of the one below. A subclass with other connections overrides
    `connect` and `next_input_size`.

    State: a tuple over layers of tuples over directions of the cell's state. Output: that of the last layer.

    Args:
        cell: one for all layers, or a list with one per layer, lowest first.
        input_size: input size of the lowest layer.
        hidden_size: hidden units per layer, or a list with one size per layer (as many as `num_layers`).
        num_layers: number of layers.
        bidirectional: add a second cell per layer that reads backwards; outputs are concatenated.
        dropout: dropout on the input of every layer but the first.
        locked: one dropout mask for all steps of a sequence (variational dropout).
        learn_initial_state: learn the initial state; False: zero.
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
        layers = build_layers(cells, input_size, hidden_size, bidirectional, self.next_input_size)
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
        """Resets, and elapsed time if all layers support it."""
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

    def next_input_size(self, input_size: int, output_size: int) -> int:
        """The size of what `connect` returns for a layer that is not the last."""
        return output_size

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        """The input of the next layer (..., F), from the outputs (..., O) and the input (..., I) of layer `depth`.

        It is applied to each step independently, with or without a time dimension. The result for the last layer must
        be zero at padded steps.
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
        """`forward` with resets: both directions of all layers run on the segments between them."""
        segments, first = Segments(x, steps), self.initial_state(x.shape[0])
        initial = self.initial_state(segments.count)
        entering = _by_direction(segments.enter, checked_state(first if state is None else state, first), initial)
        outputs, after = self.run(segments.cut(x), segments.steps, entering)
        return segments.join(outputs), _by_direction(segments.leave, after)

    def run(self, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        """Run all layers over rows without resets."""
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
    """Apply `change` for each layer and direction; the second direction is backwards."""
    return tuple(
        tuple(change(*parts, backwards=bool(number)) for number, parts in enumerate(zip(*layers, strict=True)))
        for layers in zip(*states, strict=True)
    )


def check_depth(num_layers: int) -> None:
    """Raises ValueError if the number of layers is below 1 or above `MAX_LAYERS`."""
    if num_layers < 1:
        raise ValueError(f"num_layers is {num_layers}: it must be at least 1")
    if num_layers > MAX_LAYERS:
        raise ValueError(f"num_layers is {num_layers:,}: it must be at most {MAX_LAYERS:,}")


def build_layers(
    cells: Sequence[CellFactory],
    input_size: int,
    hidden_size: int | list[int],
    bidirectional: bool,
    next_input_size: Callable[[int, int], int] = lambda _, output_size: output_size,
) -> list[Layer]:
    """Build a stack of layers.

    Args:
        cells: the cell of each layer, lowest first.
        input_size: input size of the first layer.
        hidden_size: one size for all layers, or a list with one size per layer.
        bidirectional: add a backward cell to each layer.
        next_input_size: input and output size of a layer -> input size of the next one.
    """
    sizes = [hidden_size] * len(cells) if isinstance(hidden_size, int) else list(hidden_size)
    if len(sizes) != len(cells):
        raise ValueError(f"hidden_size lists {len(sizes)} sizes for num_layers={len(cells)}: give one per layer")
    if min(sizes) < 1:
        raise ValueError(f"hidden_size is {hidden_size}: it must be at least 1")
    layers = []
    for cell, size in zip(cells, sizes, strict=True):
        layers.append(Layer(cell, input_size, size, bidirectional))
        input_size = next_input_size(input_size, layers[-1].output_size)
    return layers
