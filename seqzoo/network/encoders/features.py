"""The encoder of inputs that are already vectors."""

from __future__ import annotations

from torch import Tensor

from seqzoo.contracts.parts import Encoder
from seqzoo.network.locked_dropout import create_dropout


class FeatureEncoder(Encoder):
    """(B, T, I) -> (B, T, I), unchanged except for dropout.

    Args:
        dropout: dropout on the features.
    """

    def __init__(self, input_size: int, dropout: float = 0.0):
        super().__init__()
        self.output_size = input_size
        self.dropout = create_dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        if not inputs.is_floating_point():
            raise ValueError(f"features are numbers, {self.output_size} per step, and these inputs are ids")
        return self.dropout(inputs)
