"""Prefetching of batches to the device.

One thread is sufficient, because a batch is sliced from tensors that were encoded when the data was loaded, which takes
0.1 to 0.4 ms for the data sets that were measured. Worker processes would only add copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

from seqzoo.contracts.batch import Batch

Item = TypeVar("Item")


def on_device(
    groups: Iterable[list[Batch]], device: torch.device, share: Callable[[Batch], Batch] = lambda batch: batch
) -> Iterator[tuple[list[Batch], int]]:
    """Move groups of batches to the device. On a GPU, the next group is copied from pinned memory while one is used.

    Args:
        groups: of whole batches.
        device: where they go.
        share: the rows of a batch that this process computes.

    Returns:
        Each group, and its number of real steps before it was shared.
    """
    if device.type != "cuda":
        for group in groups:
            yield [share(batch).to(device) for batch in group], _real_steps(group)
        return
    stream = torch.cuda.Stream(device)

    def copied() -> Iterator[tuple[list[Batch], int, torch.cuda.Event | torch.Event]]:
        for group in groups:
            with torch.cuda.stream(stream):
                arriving = [share(batch).map(torch.Tensor.pin_memory).to(device) for batch in group]
            yield arriving, _real_steps(group), stream.record_event()

    for group, steps, arrived in ahead(copied()):
        user = torch.cuda.current_stream(device)
        user.wait_event(arrived)
        for batch in group:
            batch.map(partial(_used_by, user))
        yield group, steps


def _real_steps(group: list[Batch]) -> int:
    return sum(int(batch.lengths.sum()) for batch in group)


def _used_by(stream: torch.cuda.Stream, tensor: torch.Tensor) -> torch.Tensor:
    """Prevent the memory of a tensor from being reused before `stream` has finished with it."""
    tensor.record_stream(stream)
    return tensor


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each computed by a thread while the previous one is used. Exceptions are raised here."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
