"""Data sets of numbers: sequences of vectors, and vectors to answer with, one a sequence or one a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.parts import DataModule
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.generated.generating import GENERATION_SEED, check_sizes

SPLITS = ("train", "validation", "test")


class Sequences(NamedTuple):
    """inputs: (N, T, I); targets: (N,) classes, (N, D) numbers, or (N, T, D)."""

    inputs: Tensor
    targets: Tensor


@dataclass(eq=False, kw_only=True)
class SequenceData(DataModule):
    """Cuts batches of sequences of one length. A subclass loads `_sequences`: those of each split, by its name."""

    batch_size: int = 50
    limit: int | None = None
    seed: int = 0

    numbers = True

    def __post_init__(self) -> None:
        self._sequences: dict[str, Sequences] = {}

    def splits(self) -> dict[str, int]:
        return {split: len(found.inputs) for split, found in self._sequences.items()}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return -(-len(self._of(split).inputs) // self.batch_size)

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        found = self._of(split)
        order = torch.arange(len(found.inputs))
        if split == "train":
            generator = generator_at(self.seed, epoch)
            order = torch.randperm(len(order), generator=generator)
        for rows in order.split(self.batch_size)[start:]:
            inputs = self.as_numbers(found.inputs[rows])
            lengths = torch.full((len(rows),), inputs.shape[1])
            yield Batch(inputs, lengths, found.targets[rows], padded=False)

    def as_numbers(self, inputs: Tensor) -> Tensor:
        """What is kept, (B, T, I), as the float32 that a model reads."""
        return inputs

    def _of(self, split: str) -> Sequences:
        if split not in self._sequences:
            raise DataError(f'The data has no split "{split}": it has {", ".join(self._sequences)}.')
        return self._sequences[split]

    def _check_sizes(self, *names: str) -> None:
        """Raises ValueError where one of these options, or one of every such data set, is below 1."""
        for name in (*names, "batch_size", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} is too small: it must be at least 1")


@dataclass(eq=False, kw_only=True)
class NumberData(SequenceData):
    """Generates float32 sequences of one length. A subclass gives the sizes and `generate`.

    per_step: whether targets are (N, T, D).
    """

    train_size: int = 1_000
    validation_size: int = 200
    test_size: int = 200

    input_size: ClassVar[int] = 1
    output_size: ClassVar[int] = 1
    per_step: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes()
        check_sizes(self)

    @abstractmethod
    def generate(self, split: str, size: int) -> Sequences:
        """So many sequences of a split; the same ones for every seed of a run, none of them in another split."""

    def expected_spec(self) -> DataSpec:
        return DataSpec("regression", self.input_size, self.output_size, per_step=self.per_step)

    def load(self, spec: DataSpec | None = None) -> None:
        if spec is not None and spec != self.expected_spec():
            raise DataError("The saved run was trained on data of another kind or size: choose other data.")
        self.spec = self.expected_spec()
        sizes = {split: getattr(self, f"{split}_size") for split in SPLITS}
        self._sequences = {
            split: Sequences(*(part.float() for part in self.generate(split, min(size, self.limit or size))))
            for split, size in sizes.items()
        }


def generator_of(split: str) -> torch.Generator:
    """Random numbers of a split: the same in all runs, so that they share one held-out set."""
    return torch.Generator().manual_seed(GENERATION_SEED + SPLITS.index(split))


def parse_steps(text: str | Sequence[str], input_size: int) -> list[list[float]]:
    """Steps with commas between them, or a list of steps, each of `input_size` numbers with spaces between them.

    Raises DataError for what is not a finite number, and for a step of another size.
    """
    steps = []
    for number, step in enumerate(text.split(",") if isinstance(text, str) else text, start=1):
        try:
            steps.append([float(value) for value in step.split()])
            if not all(abs(value) <= torch.finfo(torch.float32).max for value in steps[-1]):
                raise ValueError
        except ValueError:
            raise DataError(
                f'step {number} is "{step.strip()[:40]}": write finite numbers, such as "0.5, 0.1".'
            ) from None
        if len(steps[-1]) != input_size:
            raise DataError(
                f"step {number} has {len(steps[-1])} numbers, but the model reads {input_size} a step: "
                "write commas between steps, and spaces between the numbers of a step."
            )
    return steps
