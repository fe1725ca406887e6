"""An encoder: several ids share a row of a small table (Weinberger et al., Feature Hashing, 2009)."""

from __future__ import annotations

from torch import Tensor, nn

from seqzoo import Encoder


class Hashed(Encoder):
    """buckets: number of rows."""

    def __init__(self, input_size: int, buckets: int = 64):
        super().__init__()
        self.buckets, self.output_size = buckets, 16
        self.table = nn.Embedding(buckets, self.output_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids * 7919 % self.buckets)
