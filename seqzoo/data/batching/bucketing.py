"""Length bucketing: examples of similar length share a batch, so that there is little padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.batching.chance import generator_at

Length = int | tuple[int, int]
"""A length; or a length, and a number by which examples of the same length are sorted."""

POOL = 50
"""Batches per pool, within which examples are sorted by length. Larger pools mean less padding and less randomness."""


def bucket(
    lengths: Sequence[Length],
    batch_size: int,
    max_tokens: int | None = None,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """Group all examples into batches of similar length.

    Args:
        lengths: of the examples.
        batch_size: maximum number of rows of a batch.
        max_tokens: maximum of rows times the longest length of a batch; a longer example is a batch of its own. None:
            no limit.
        generator: shuffles examples and batches; None: by length, shortest first.

    Returns:
        The indices of the examples of each batch.
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
    """The batches of each split as row numbers, shuffled anew for each epoch of training.

    The last plan is cached, since `number` and `of` are called in turn.

    Args:
        rows: the number of rows of each split.
        lengths: returns the lengths of the rows of a split in an epoch; called for each new plan.
        seed: of the shuffling.
        batch_size: as of `bucket`.
        max_tokens: as of `bucket`.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        lengths: Callable[[str, int], Sequence[Length]],
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
        """The number of batches. Only with `max_tokens` does it depend on the plan."""
        self._check(split)
        return -(-self.rows[split] // self.batch_size) if self.max_tokens is None else len(self.of(split, epoch))

    def _check(self, split: str) -> None:
        if split not in self.rows:
            raise DataError(f'the data has no split "{split}": it has {", ".join(self.rows)}')


def _fill(order: list[int], lengths: Sequence[Length], batch_size: int, max_tokens: int | None) -> list[list[int]]:
    """Cut indices, in order of rising length, into batches."""
    if max_tokens is None:
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    batches: list[list[int]] = []
    for index in order:
        length = lengths[index]
        if not batches or len(batches[-1]) == batch_size or (len(batches[-1]) + 1) * _steps(length) > max_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def _steps(length: Length) -> int:
    return length if isinstance(length, int) else length[0]


def by_both_sides(source: int, target: int) -> Length:
    """The length by which pairs are sorted so that both sides need little padding: that of the longer side and, within
    it, how much longer the target is, rising and falling in turn, so that neighbours of different lengths are alike.
    """
    longest, difference = max(source, target), target - source
    return longest, difference if longest % 2 else -difference


def padding_share(lengths: Sequence[Length], batches: Sequence[Sequence[int]]) -> float:
    """The share of padded steps, 0 to 1."""
    steps = sum(len(batch) * max(_steps(lengths[i]) for i in batch) for batch in batches)
    return 1 - sum(_steps(lengths[i]) for batch in batches for i in batch) / steps if steps else 0.0
