"""A constraint on what is written: no letter stands in an answer twice."""

from __future__ import annotations

from torch import Tensor

from seqzoo import Batch, DataSpec
from seqzoo.tasks.decoding import Constraint


class NoLetterTwice(Constraint):
    def __init__(self, batch: Batch, spec: DataSpec):
        self.size = spec.output_size

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        return log_probabilities.scatter(1, written, float("-inf"))

    def wanted(self, row: int) -> str:
        return "every letter once"
