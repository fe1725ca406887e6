"""Batches come in their order, one ahead, and neither errors nor threads are lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from seqzoo.contracts.batch import Batch
from seqzoo.training.prefetch import ahead, on_device


class Made:
    """Yields numbers and counts how many were requested; `made` is released for each."""

    def __init__(self, fail_at: int | None = None):
        self.count, self.fail_at, self.made = 0, fail_at, threading.Semaphore(0)
        self.threads: set[threading.Thread] = set()

    def items(self) -> Iterator[int]:
        for number in range(5):
            self.threads.add(threading.current_thread())
            if number == self.fail_at:
                raise ValueError("batch 3 cannot be read")
            self.count += 1
            self.made.release()
            yield number


def test_items_keep_their_order_and_come_from_another_thread() -> None:
    made = Made()
    assert list(ahead(made.items())) == [0, 1, 2, 3, 4]
    assert threading.main_thread() not in made.threads


def test_only_one_item_is_prefetched() -> None:
    made = Made()
    for used, _ in enumerate(ahead(made.items()), start=1):
        if used < 5:
            # the next one is made while this one is used
            for _ in range(2 if used == 1 else 1):
                assert made.made.acquire(timeout=60)
        assert made.count <= used + 1


def test_an_error_is_raised_where_the_items_are_used() -> None:
    found = []
    with pytest.raises(ValueError, match="batch 3 cannot be read"):
        found.extend(ahead(Made(fail_at=3).items()))
    assert found == [0, 1, 2]


def test_the_thread_ends_with_the_loop() -> None:
    made = Made()
    for _ in ahead(made.items()):
        break
    assert not any(thread.is_alive() for thread in made.threads)


def batch(*lengths: int) -> Batch:
    return Batch(torch.ones(len(lengths), max(lengths), dtype=torch.long), torch.tensor(lengths))


def test_real_steps_are_counted_on_the_host() -> None:
    groups = [[batch(3, 1), batch(2)], [batch(4)]]
    arrived = list(on_device(groups, torch.device("meta")))
    assert [steps for _, steps in arrived] == [6, 4]
    assert all(part.inputs.is_meta for group, _ in arrived for part in group)


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches() -> None:
    groups = [[batch(*torch.randint(1, 9, (4,)).tolist())] for _ in range(20)]
    for (arrived, steps), [sent] in zip(on_device(groups, torch.device("cuda")), groups, strict=True):
        assert torch.equal(arrived[0].inputs.cpu(), sent.inputs)
        assert torch.equal(arrived[0].lengths.cpu(), sent.lengths)
        assert steps == sent.lengths.sum()
