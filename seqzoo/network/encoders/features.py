"""Inputs that are vectors already."""

from __future__ import annotations

from torch import Tensor

from seqzoo.contracts.parts import Encoder
from seqzoo.network.locked_dropout import create_dropout


class FeatureEncoder(Encoder):
    """(B, T, I) -> (B, T, I): passes features on.

    dropout: on the features, 0 to 1.
    """

    def __init__(self, input_size: int, dropout: float = 0.0):
        super().__init__()
        self.output_size = input_size
        self.dropout = create_dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dropout(inputs)
