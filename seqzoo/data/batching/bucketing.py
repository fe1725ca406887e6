"""Which examples share a batch: similar lengths together, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.batching.chance import generator_at

POOL = 50
"""Batches a pool: within one, examples are sorted by length. More means less padding and less chance."""


def bucket(
    lengths: Sequence[int],
    batch_size: int,
    max_tokens: int | None = None,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """Every index of `lengths` once, in lists of at most `batch_size`.

    max_tokens: rows times the longest of them stays below or at it; an example that is longer makes a batch alone.
    generator: shuffles; None gives one fixed order, shortest first.
    """
    if generator is None:
        return _fill(sorted(range(len(lengths)), key=lengths.__getitem__), lengths, batch_size, max_tokens)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = sorted(order[start : start + POOL * batch_size], key=lengths.__getitem__)
        batches += _fill(pool, lengths, batch_size, max_tokens)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


class Plans:
    """The row numbers of every batch of a split, shuffled for each epoch of training. The last plan is kept, since
    `number` and `of` are called in turn.

    Args:
        rows: split -> number of its rows.
        lengths: split and epoch -> the lengths of the rows; called for each new plan.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        lengths: Callable[[str, int], Sequence[int]],
        seed: int,
        batch_size: int,
        max_tokens: int | None = None,
    ):
        self.rows, self.lengths = rows, lengths
        self.seed, self.batch_size, self.max_tokens = seed, batch_size, max_tokens
        self._last: tuple[tuple[str, int], list[list[int]]] | None = None

    def of(self, split: str, epoch: int) -> list[list[int]]:
        self._check(split)
        key = (split, epoch if split == "train" else 0)
        if self._last is None or self._last[0] != key:
            generator = generator_at(self.seed, epoch) if split == "train" else None
            self._last = (key, bucket(self.lengths(split, epoch), self.batch_size, self.max_tokens, generator))
        return self._last[1]

    def number(self, split: str, epoch: int) -> int:
        """The number of batches, which depends on the plan only where `max_tokens` limits batches."""
        self._check(split)
        return -(-self.rows[split] // self.batch_size) if self.max_tokens is None else len(self.of(split, epoch))

    def _check(self, split: str) -> None:
        if split not in self.rows:
            raise DataError(f'The data has no split "{split}": it has {", ".join(self.rows)}.')


def _fill(order: list[int], lengths: Sequence[int], batch_size: int, max_tokens: int | None) -> list[list[int]]:
    """Cut an order of rising lengths into batches."""
    if max_tokens is None:
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    batches: list[list[int]] = []
    for index in order:
        full = not batches or len(batches[-1]) == batch_size or (len(batches[-1]) + 1) * lengths[index] > max_tokens
        if full:
            batches.append([])
        batches[-1].append(index)
    return batches


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of steps that are padding, 0 to 1."""
    steps = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    return 1 - sum(lengths[i] for batch in batches for i in batch) / steps if steps else 0.0
