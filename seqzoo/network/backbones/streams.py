"""Runs two computations in parallel on a GPU that one of them does not fill."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from seqzoo.contracts.state import State, flatten

S = TypeVar("S", bound=State)


def side_by_side(reads: Sequence[Tensor], first: Callable[[], S], second: Callable[[], S]) -> tuple[S, S]:
    """Run two functions, on a GPU in parallel: `second` runs on a stream of its own, and so does its backward pass,
    because autograd uses the stream of the forward pass. On a CPU and under `torch.compile` they run one after the
    other.

    Args:
        reads: the tensors that `second` reads, except parameters.
        first, second: return a tensor or nested tuples of tensors.

    Returns:
        Both results.
    """
    if not reads[0].is_cuda or torch.compiler.is_compiling():
        return first(), second()
    current, side = torch.cuda.current_stream(reads[0].device), _other(reads[0].device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        of_second = second()
    of_first = first()
    current.wait_stream(side)
    # the memory of these tensors must not be reused before the other stream has finished
    for tensor in reads:
        tensor.record_stream(side)
    for tensor in flatten(of_second):
        tensor.record_stream(current)
    return of_first, of_second


@functools.cache
def _other(device: torch.device) -> torch.cuda.Stream:
    """The second stream of a device; always the same, because compiled loops keep buffers per stream."""
    return torch.cuda.Stream(device)
