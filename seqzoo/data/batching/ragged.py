"""Ragged rows in one flat tensor, so that a batch is a single gather."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import torch
from torch import Tensor


class Ragged:
    """Rows of ids of different length, none of them empty.

    Attributes:
        ids: all rows, one after the other.
        lengths: (N,), of the rows.
    """

    def __init__(self, rows: Iterable[list[int]]):
        ids, lengths = array("q"), array("q")
        for row in rows:
            ids.extend(row)
            lengths.append(len(row))
        self.ids = torch.frombuffer(ids, dtype=torch.long)
        self.lengths = torch.frombuffer(lengths, dtype=torch.long)
        self.starts = self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        """The ids of some rows, (B, T) with zeros as padding, and their lengths (B,)."""
        index = torch.tensor(rows)
        return gather_spans(self.ids, self.starts[index], self.lengths[index])


def gather_spans(ids: Tensor, starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Spans of a flat tensor of ids (N,) as rows, (B, T) with zeros as padding, and their lengths (B,)."""
    steps = torch.arange(int(lengths.max()))
    positions = (starts[:, None] + steps).clamp(max=len(ids) - 1)
    return ids[positions].long().masked_fill(steps >= lengths[:, None], 0), lengths


def is_padded(lengths: Tensor) -> bool:
    """Whether rows of these lengths need padding."""
    return bool((lengths != lengths[0]).any())
