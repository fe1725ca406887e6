"""Batches are on the device before they are needed.

One thread is enough, and processes would only copy: a batch is cut from tensors that were encoded when the data was
read, which took 0.1 to 0.4 ms where it was measured (tags, sentences, translations, running text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

from seqzoo.contracts.batch import Batch

Item = TypeVar("Item")


def on_device(groups: Iterable[list[Batch]], device: torch.device) -> Iterator[tuple[list[Batch], int]]:
    """Groups of batches with their tensors on the device, and how many real steps each group has.

    To a GPU the next group is copied, from pinned memory, while the last one is used.
    """
    if device.type != "cuda":
        for group in groups:
            yield [batch.to(device) for batch in group], _real_steps(group)
        return
    stream = torch.cuda.Stream(device)

    def copied() -> Iterator[tuple[list[Batch], int, torch.cuda.Event]]:
        for group in groups:
            with torch.cuda.stream(stream):
                arriving = [batch.map(torch.Tensor.pin_memory).to(device) for batch in group]
            yield arriving, _real_steps(group), stream.record_event()

    for group, steps, arrived in ahead(copied()):
        user = torch.cuda.current_stream(device)
        user.wait_event(arrived)
        for batch in group:
            batch.map(partial(_kept_for, user))
        yield group, steps


def _real_steps(group: list[Batch]) -> int:
    return sum(int(batch.lengths.sum()) for batch in group)


def _kept_for(stream: torch.cuda.Stream, tensor: torch.Tensor) -> torch.Tensor:
    """Its memory is not given to a later copy before what `stream` does with it is done."""
    tensor.record_stream(stream)
    return tensor


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made by a thread while the one before it is used. What goes wrong there is raised here."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]
