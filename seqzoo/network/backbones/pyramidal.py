"""Pyramidal layers, each with fewer steps than the one below (hierarchical subsampling).

Chan, Jaitly, Le & Vinyals, Listen, Attend and Spell, 2015 (concatenation), https://arxiv.org/abs/1508.01211
Bahdanau, Chorowski, Serdyuk, Brakel & Bengio, End-to-End Attention-based Large Vocabulary Speech Recognition, 2016
(one of several steps), https://arxiv.org/abs/1508.04395
Graves, Supervised Sequence Labelling with Recurrent Neural Networks, 2012, chapter 9 (a feedforward layer between two
recurrent ones), https://doi.org/10.1007/978-3-642-24797-2
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.steps import Steps
from seqzoo.network.backbones.stack import Stack


class Pyramidal(Stack):
    """(B, T, I) -> (B, T', O), where every layer but the first divides the number of steps by `factor`, rounded up.

    As an output depends on all the steps that it replaces, there is no `step`, not even in one direction.

    Args:
        factor: number of steps that are merged into one in every layer but the first.
        subsampling: concatenate (the merged steps, with zeros after the end) or stride (keep only the last real step).
        feedforward_size: units of a tanh layer that reads the merged steps before each recurrent layer but the first;
            None: there is none.
    """

    acts_with: ClassVar[dict[str, str]] = dict.fromkeys(("factor", "subsampling", "feedforward_size"), "num_layers>1")

    keeps_time = False

    def __init__(
        self,
        cell: CellFactory,
        input_size: int,
        num_layers: int = 3,
        factor: int = 2,
        subsampling: Literal["concatenate", "stride"] = "concatenate",
        bidirectional: bool = True,
        feedforward_size: int | None = None,
        **options: Any,
    ):
        if factor < 2:
            raise ValueError(f"factor is {factor}: it must be at least 2")
        if feedforward_size is not None and feedforward_size < 1:
            raise ValueError(f"feedforward_size is {feedforward_size}: it must be at least 1")
        self.factor, self.subsampling, self.feedforward_size = factor, subsampling, feedforward_size
        super().__init__(cell, input_size, num_layers=num_layers, bidirectional=bidirectional, **options)
        self.causal = False
        self.feedforward: nn.ModuleList | None = None
        if feedforward_size is not None:
            widths = [self._merged_size(layer.output_size) for layer in self.layers[:-1]]
            self.feedforward = nn.ModuleList(nn.Linear(width, feedforward_size) for width in widths)

    def _merged_size(self, output_size: int) -> int:
        return output_size * (self.factor if self.subsampling == "concatenate" else 1)

    def next_input_size(self, input_size: int, output_size: int) -> int:
        return self.feedforward_size or self._merged_size(output_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for _ in self.layers[1:]:
            lengths = self._shortened(lengths)
        return lengths

    def _shortened(self, lengths: Tensor) -> Tensor:
        return (lengths + self.factor - 1).div(self.factor, rounding_mode="floor")

    @property
    def supports(self) -> Collection[str]:
        """None, because an output may merge steps on both sides of a reset."""
        return ()

    def run(self, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        lengths = steps.lengths
        following = []
        for depth, (layer, states) in enumerate(zip(self.layers, state, strict=True)):
            if depth > 0:
                x = self._subsample(x, lengths)
                x = self.dropout(x if self.feedforward is None else self.feedforward[depth - 1](x).tanh())
                lengths = None if lengths is None else self._shortened(lengths)
            x, after = layer.scan(x, states, lengths)
            following.append(after)
        return x, tuple(following)

    def _subsample(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, T, F) -> (B, T', F), or (B, T', factor F) by concatenation; T' = T / factor, rounded up."""
        steps = x.shape[1]
        if self.subsampling == "concatenate":
            return F.pad(x, (0, 0, 0, -steps % self.factor)).unflatten(1, (-1, self.factor)).flatten(2)
        ends = torch.arange(self.factor, steps + self.factor, self.factor, device=x.device) - 1
        if lengths is None:
            return x[:, ends.clamp(max=steps - 1)]
        index = torch.minimum(ends, lengths[:, None] - 1).clamp(min=0)
        return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        raise ValueError("a pyramidal network cannot go step by step: each output merges several inputs")
