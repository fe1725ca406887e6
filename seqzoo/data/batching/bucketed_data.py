"""The base of data sets whose rows differ in length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.data.batching.bucketing import Length, Plans, padding_share
from seqzoo.data.checks import check_at_least_one, check_sizes


@dataclass(eq=False, kw_only=True)
class BucketedData(DataModule):
    """Rows of similar length share a batch. A subclass calls `plan_batches` when it has loaded its rows.

    Args:
        batch_size: maximum number of rows in a batch.
        limit: maximum number of rows per split, taken at even intervals.
        seed: of the order and of the augmentation of the training rows.
    """

    batch_size: int = 32
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self, "batch_size", "limit")
        check_sizes(self)

    @abstractmethod
    def row_lengths(self, split: str, epoch: int) -> Sequence[Length]:
        """The length of each row of a split; rows of similar length share a batch."""

    @abstractmethod
    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        """Some rows of a split as a batch.

        Args:
            split: a name of `splits`.
            rows: their numbers.
            epoch: the targets and inputs of training rows may differ between epochs.
            number: of the batch, if it may be augmented; None: it may not.
        """

    def plan_batches(self, rows: Mapping[str, int], max_tokens: int | None = None) -> None:
        """Set the number of rows of each split; max_tokens: as of `bucket`."""
        self._plans = Plans(rows, self.row_lengths, self.seed, self.batch_size, max_tokens)

    def splits(self) -> dict[str, int]:
        return dict(self._plans.rows)

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return self._plans.number(split, epoch)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for number, rows in enumerate(self._plans.of(split, epoch)[start:], start):
            yield self.batch_of(split, rows, epoch, number if split == "train" else None)

    def plain_batches(self, split: str) -> Iterator[Batch]:
        """In the order of the data, whatever the seed."""
        for rows in torch.arange(self.splits()[split]).split(self.batch_size):
            yield self.batch_of(split, rows.tolist(), 0, None)

    def padding_share(self) -> float | None:
        return padding_share(self.row_lengths("train", 0), self._plans.of("train", 0))
