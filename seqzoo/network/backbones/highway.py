"""Highway layers: a learned gate interpolates between the input and the output of a layer.

Srivastava, Greff & Schmidhuber, Highway Networks, 2015, https://arxiv.org/abs/1505.00387
He, Lee, Lewis & Zettlemoyer, Deep Semantic Role Labeling, 2017 (around recurrent layers), https://aclanthology.org/P17-1044

    r = sigmoid(W_r x + b_r)
    y = r * layer(x) + (1 - r) * x

The highway of Zhang et al., 2016 (https://arxiv.org/abs/1510.08983) connects the memories of LSTM layers; this one
works with any cell.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import CellFactory
from seqzoo.network.backbones.stack import Stack


class Highway(Stack):
    """A gate for each layer but the first. If input and output of a layer differ in size, x is replaced by W x.
    Dropout is applied to the input of the cells, not to the highway connection.

    Args:
        gate_bias: initial bias b_r of the gate; below 0 a layer mostly passes on its input at first.
    """

    acts_with: ClassVar[dict[str, str]] = {"gate_bias": "num_layers>1"}

    def __init__(self, cell: CellFactory, input_size: int, gate_bias: float = -1.0, **options: Any):
        super().__init__(cell, input_size, **options)
        sizes = [(layer.input_size, layer.output_size) for layer in self.layers[1:]]
        gates = [nn.Linear(in_size, out_size) for in_size, out_size in sizes]
        for gate in gates:
            nn.init.constant_(gate.bias, gate_bias)
        self.gates = nn.ModuleList(gates)
        # without a bias, so that padded steps stay zero
        self.carries = nn.ModuleList(
            nn.Identity() if in_size == out_size else nn.Linear(in_size, out_size, bias=False)
            for in_size, out_size in sizes
        )

    def connect(self, depth: int, outputs: Tensor, x: Tensor) -> Tensor:
        if depth == 0:  # its input is not zero at padded steps
            return outputs
        r = torch.sigmoid(self.gates[depth - 1](x))
        return r * outputs + (1 - r) * self.carries[depth - 1](x)
