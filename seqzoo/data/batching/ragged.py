"""Rows of different length in one flat tensor: a batch of any of them is one gather."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import torch
from torch import Tensor


class Ragged:
    """Rows of ids, none of them empty.

    lengths: (N,) on the host.
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
        """Row numbers -> (B, T) ids, zero where padded, and (B,) lengths."""
        index = torch.tensor(rows)
        return gather_spans(self.ids, self.starts[index], self.lengths[index])


def gather_spans(ids: Tensor, starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The spans of a flat (N,) tensor of whole numbers as ids (B, T), zero where padded, and their lengths."""
    steps = torch.arange(int(lengths.max()))
    positions = (starts[:, None] + steps).clamp(max=len(ids) - 1)
    return ids[positions].long().masked_fill(steps >= lengths[:, None], 0), lengths


def is_padded(lengths: Tensor) -> bool:
    return bool((lengths != lengths[0]).any())
