"""Stacked recurrent layers, in one or both directions, optionally with residual connections.

Wu et al., Google's Neural Machine Translation System, 2016 (residual layers), https://arxiv.org/abs/1609.08144
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from seqzoo.cells.cell import CellFactory
from seqzoo.network.backbones.stack import Stack


class Recurrent(Stack):
    """A stack in which each layer reads the output of the one below.

    Args:
        residual: residual connections around every layer but the first whose input and output have the same size.
    """

    acts_with: ClassVar[dict[str, str]] = {"residual": "num_layers>1"}

    def __init__(self, cell: CellFactory, input_size: int, residual: bool = False, **options: Any):
        super().__init__(cell, input_size, **options)
        self.residual = residual

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        # not around the first layer, whose input is not zero at padded steps
        return outputs + x if self.residual and depth > 0 and outputs.shape == x.shape else outputs
