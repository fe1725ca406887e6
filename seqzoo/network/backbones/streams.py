"""Two computations at once on a GPU that one of them alone does not fill."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from seqzoo.contracts.state import State, flatten

S = TypeVar("S", bound=State)


def side_by_side(reads: Sequence[Tensor], first: Callable[[], S], second: Callable[[], S]) -> tuple[S, S]:
    """What both return, a tensor or a nested tuple of them. reads: the tensors that `second` reads, parameters aside.

    On a GPU `second` runs on a stream of its own, and so does its backward pass: autograd keeps to the stream of the
    forward one. Elsewhere, and where torch compiles both into one program, they run in turns.
    """
    if not reads[0].is_cuda or torch.compiler.is_compiling():
        return first(), second()
    here, there = torch.cuda.current_stream(reads[0].device), _other(reads[0].device)
    there.wait_stream(here)
    with torch.cuda.stream(there):
        of_second = second()
    of_first = first()
    here.wait_stream(there)
    # whoever frees them must know that the other stream may still be at work on them
    for tensor in reads:
        tensor.record_stream(there)
    for tensor in flatten(of_second):
        tensor.record_stream(here)
    return of_first, of_second


@functools.cache
def _other(device: torch.device) -> torch.cuda.Stream:
    """One for each device: compiled loops keep their buffers by stream."""
    return torch.cuda.Stream(device)
