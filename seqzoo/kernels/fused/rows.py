"""The layout of the rows of a batch in buffers, and the order in which they are processed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqzoo.contracts.masking import mask


class Rows:
    """The rows of a batch.

    Args:
        x: input, (B, T, ...).
        lengths: number of real steps of each row, (B,); None: all steps are real.
        compact: buffers hold only real steps; False: all steps, which needs no synchronisation with the device.

    Attributes:
        lengths: (B,) number of real steps.
        order: (B,) indices of the rows, longest first.
        starts: (B,) offset of the first step of each row in buffers of steps, (N, ...).
        index: (N,) positions of the real steps among all (B * T,), if `compact`.
    """

    def __init__(self, x: Tensor, lengths: Tensor | None, compact: bool):
        self.count, self.steps = x.shape[:2]
        self.given = lengths
        self.index: Tensor | None = None
        self.order = torch.arange(self.count, device=x.device)
        self.starts = self.order * self.steps
        if lengths is None:
            self.lengths = torch.full_like(self.order, self.steps)
            return
        self.lengths = lengths.to(torch.long).clamp(0, self.steps)
        self.order = self.lengths.argsort(descending=True, stable=True)
        if compact:
            self.starts = self.lengths.cumsum(0) - self.lengths
            self.index = mask(self.lengths, self.steps).flatten().nonzero()[:, 0]

    def new(self, like: Tensor, width: int, padded: bool = False) -> Tensor:
        """A buffer (N, width), or, padded, (B, T, width), that is zero where no real step writes."""
        shape = (self.count, self.steps, width) if padded else (self._size, width)
        written = self.given is None or (self.index is not None and not padded)
        return like.new_empty(shape) if written else like.new_zeros(shape)

    @property
    def _size(self) -> int:
        return self.count * self.steps if self.index is None else self.index.shape[0]

    def real(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (N, F), the steps that buffers hold."""
        x = x.flatten(0, 1)
        return x if self.index is None else _Choose.apply(x, self.index)

    def padded(self, x: Tensor) -> Tensor:
        """(N, F) -> (B, T, F), zero at padded steps."""
        if self.index is not None:
            x = x.new_zeros(self.count * self.steps, x.shape[1]).index_copy(0, self.index, x)
        return x.unflatten(0, (self.count, self.steps))


class _Choose(torch.autograd.Function):
    """x[index] for distinct indices: its gradient is copied, which is much faster than adding up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = x.shape
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy(0, index, gradient), None
