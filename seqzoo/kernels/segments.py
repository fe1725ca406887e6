"""Rows cut at resets of the state: each segment becomes a row, so that every engine supports resets."""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import checked_lengths, mask, zero_padding
from seqzoo.contracts.state import reorder, where
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import jit_traced, mapped_over


class Segments:
    """The N segments of the rows of a batch, in order; each row has at least one.

    All segments are computed in parallel, padded to the longest one. On a GPU their number requires a synchronisation.

    Args:
        x: input, (B, T, ...).
        steps: lengths and resets of the rows.

    Attributes:
        count: N.
        steps: lengths and structure of the segments.

    Raises:
        ValueError: resets or lengths have a wrong shape, type or device, or no values (tracing, meta device).
    """

    def __init__(self, x: Tensor, steps: Steps):
        rows, time = x.shape[:2]
        resets = _checked_resets(steps.resets, x)
        self._row_lengths = None if steps.lengths is None else checked_lengths(steps.lengths, x.shape, x.device)
        ends = resets.new_full((rows,), time, dtype=torch.long) if self._row_lengths is None else self._row_lengths
        begins = resets & mask(ends, time)
        self._continues = ~begins[:, 0]
        begins[:, 0] = True
        self._row, self._start = begins.nonzero(as_tuple=True)
        self.count = len(self._row)
        self._segment = (begins.flatten().cumsum(0) - 1).view(rows, time)
        self._first, self._last = self._segment[:, 0], self._segment[:, -1]
        self._whole = self.count == rows
        self.steps = steps._replace(lengths=self._row_lengths, resets=None)
        if not self._whole:
            following = self._start.roll(-1)
            following[self._last] = ends
            lengths = following - self._start
            self._longest = max(1, int(lengths.max()))
            elapsed = None if steps.elapsed is None else self.cut(steps.elapsed)
            self.steps = Steps(lengths, elapsed=elapsed)

    def cut(self, x: Tensor) -> Tensor:
        """Cut rows into segments: (B, T, ...) -> (N, longest, ...)."""
        if self._whole:
            return x
        steps = torch.arange(self._longest, device=x.device)
        places = (self._row * x.shape[1] + self._start)[:, None] + steps
        places = places.clamp(max=x.shape[0] * x.shape[1] - 1)
        return x.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape)

    def join(self, outputs: Tensor) -> Tensor:
        """Join segments to rows: (N, longest, ...) -> (B, T, ...), zero at padded steps."""
        if self._whole:
            return outputs
        steps = torch.arange(self._segment.shape[1], device=outputs.device) - self._start[self._segment]
        places = self._segment * self._longest + steps.clamp(max=self._longest - 1)
        joined = outputs.flatten(0, 1).index_select(0, places.flatten()).unflatten(0, places.shape)
        return zero_padding(joined, self._row_lengths)

    def enter(self, state: State, initial: State, backwards: bool = False) -> State:
        """The states that segments start from, (N, ...).

        Args:
            state: states of the rows, (B, ...), taken by the first segment of a row unless that begins with a reset.
            initial: initial states, (N, ...), taken by all other segments.
            backwards: the row is read from its end, so that its last segment comes first.
        """
        continues = torch.zeros_like(self._row, dtype=torch.bool)
        if backwards:
            continues[self._last] = True
        else:
            continues[self._first] = self._continues
        return where(continues, reorder(state, self._row), initial)

    def leave(self, state: State, backwards: bool = False) -> State:
        """The states after rows, (B, ...), from those after segments, (N, ...): that of the segment read last."""
        return reorder(state, self._first if backwards else self._last)


def _checked_resets(resets: Tensor | None, x: Tensor) -> Tensor:
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        kind = resets.dtype if isinstance(resets, Tensor) else f"a {type(resets).__name__}"
        raise ValueError(f"resets are {kind}: they must be a tensor of torch.bool, True where the state starts anew")
    if mapped_over(resets):
        raise ValueError(
            "torch.func.vmap maps over resets, by whose values rows are cut: give all rows as one batch instead, or go "
            "step by step"
        )
    if resets.is_meta or jit_traced() or torch.compiler.is_exporting():
        raise ValueError(
            "rows are cut by the values of resets, which are not available while tracing or exporting or on the meta "
            "device: cut the rows beforehand, or go step by step"
        )
    if resets.shape != x.shape[:2]:
        raise ValueError(f"resets are {tuple(resets.shape)}: the input has {tuple(x.shape[:2])} rows and steps")
    if resets.device != x.device:
        raise ValueError(f"resets are on {resets.device} and the input on {x.device}: move one to the other")
    return resets
