"""Recursive networks: a cell over the nodes of trees, from the leaves to the root, and optionally back.

Tai, Socher & Manning, Improved Semantic Representations From Tree-Structured Long Short-Term Memory Networks, 2015,
https://aclanthology.org/P15-1150
Irsoy & Cardie, Deep Recursive Neural Networks for Compositionality in Language, 2014 (layers),
https://papers.nips.cc/paper/5551
Zhang et al., Top-down Tree Long Short-Term Memory Networks, 2016, https://aclanthology.org/N16-1035
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.steps import Steps, supported
from seqzoo.kernels.inputs import checked_state
from seqzoo.kernels.trees import Forest
from seqzoo.network.backbones.recurrent import Recurrent


class Tree(Recurrent):
    """Layers over trees, whose nodes are the steps, children before parents. A layer composes the states of the
    children of each node (`Cell.compose`); the next one reads its outputs at the same nodes.

    A batch without parents has sequences: each step is the only child of the next one.

    Args:
        bidirectional: add a second cell per layer that runs from the root to the leaves, where each node follows its
            parent; outputs are concatenated.

    Raises:
        ValueError: the cell has modifiers, such as zoneout, which act from step to step.
    """

    def __init__(self, cell: CellFactory, input_size: int, **options: Any):
        super().__init__(cell, input_size, **options)
        if not all("parents" in direction.supports for layer in self.layers for direction in layer.directions):
            raise ValueError(
                "zoneout, recurrent_dropout, weight_drop and clip_state_gradient act from one step to the next, and "
                "not on trees: leave them out"
            )

    @property
    def supports(self) -> Collection[str]:
        return (*super().supports, "parents")

    def forward(
        self, x: Tensor, steps: Steps | Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        steps = supported(steps, self)
        if steps.parents is None:
            return super().forward(x, steps, state)
        initial = self.initial_state(x.shape[0])
        is_given = state is not None or self.first_state is not None
        states = initial if state is None else checked_state(state, initial)
        forest, following = Forest(x, steps), []
        for depth, (layer, entering) in enumerate(zip(self.layers, states, strict=True)):
            read = x if depth == 0 else self.dropout(x)
            # without a state, a cell need not multiply it with its weights at the leaves
            outputs, after = layer.directions[0].over_nodes(forest, read, entering[0] if is_given else None)
            of_directions = [after]
            if len(layer) > 1:
                downwards, after = layer.directions[1].over_nodes(forest, read, entering[1], downwards=True)
                outputs = torch.cat([outputs, downwards], -1)
                of_directions.append(after)
            x = self.connect(depth, outputs, x)
            following.append(tuple(of_directions))
        return x, tuple(following)
