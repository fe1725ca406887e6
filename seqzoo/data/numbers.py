"""Data sets of numbers: sequences of vectors, with one target per sequence or per step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.checks import check_at_least_one, check_sizes
from seqzoo.data.splits import GENERATION_SEED, SPLITS, part_of, split_sizes


class Sequences(NamedTuple):
    """One split.

    Attributes:
        inputs: (N, T, I)
        targets: classes (N,), or numbers (N, D) or (N, T, D).
    """

    inputs: Tensor
    targets: Tensor


@dataclass(eq=False, kw_only=True)
class SequenceData(DataModule):
    """The base of data sets whose sequences all have the same length. A subclass fills `_sequences` in `load`."""

    batch_size: int = 50
    limit: int | None = None
    seed: int = 0

    numbers = True

    def __post_init__(self) -> None:
        self._sequences: dict[str, Sequences] = {}
        check_at_least_one(self, "batch_size", "limit")

    def splits(self) -> dict[str, int]:
        return {split: len(sequences.inputs) for split, sequences in self._sequences.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return -(-len(self._of(split).inputs) // self.batch_size)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        sequences = self._of(split)
        order = torch.arange(len(sequences.inputs))
        if split == "train":
            generator = generator_at(self.seed, epoch)
            order = torch.randperm(len(order), generator=generator)
        for rows in order.split(self.batch_size)[start:]:
            inputs = self.as_numbers(sequences.inputs[rows])
            lengths = torch.full((len(rows),), inputs.shape[1])
            yield Batch(inputs, lengths, sequences.targets[rows], padded=False)

    def as_numbers(self, inputs: Tensor) -> Tensor:
        """Stored inputs (B, T, I) as the float32 that a model reads."""
        return inputs

    def _of(self, split: str) -> Sequences:
        return part_of(self._sequences, split)


@dataclass(eq=False, kw_only=True)
class NumberData(SequenceData):
    """The base of generated data sets of numbers. A subclass sets the sizes and implements `generate`.

    Attributes:
        input_size: I.
        output_size: D.
        per_step: whether targets are (N, T, D), one per step.
    """

    train_size: int = 1_000
    validation_size: int = 200
    test_size: int = 200

    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    per_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self)

    @abstractmethod
    def generate(self, split: str, size: int) -> Sequences:
        """Generate the sequences of a split. They do not depend on the seed of the run and differ between splits.

        Args:
            split: "train", "validation" or "test".
            size: N.
        """

    def expected_spec(self) -> DataSpec:
        return DataSpec("regression", self.input_size, self.output_size, per_step=self.per_step)

    def load(self, spec: DataSpec | None = None) -> None:
        self.spec = self.expected_spec()
        # runs of older versions do not know of all data whether targets are next values
        if spec is not None and replace(spec, next_values=self.spec.next_values) != self.spec:
            raise DataError("the saved run was trained on data of another kind or size: choose other data")
        sizes = split_sizes(self)
        self._sequences = {
            split: Sequences(
                *(part.to(self.float_type) for part in self.generate(split, min(size, self.limit or size)))
            )
            for split, size in sizes.items()
        }


def generator_of(split: str) -> torch.Generator:
    """The random generator of a split, the same in all runs."""
    return torch.Generator().manual_seed(GENERATION_SEED + SPLITS.index(split))
