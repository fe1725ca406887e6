"""The base class of data sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import torch

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.survey import Survey


class Row(NamedTuple):
    """The sizes of an example.

    Attributes:
        where: its file and line, for messages; empty: unknown.
        steps: number of input steps.
        targets: the ids of its target, with the end where it has one.
        grid: rows and columns of a grid, whose nodes are the steps; None: the steps are a sequence.
    """

    where: str
    steps: int
    targets: list[int]
    grid: tuple[int, int] | None = None


class ReadFiles(NamedTuple):
    """The files that were read for one option of a configuration.

    Attributes:
        path: absolute path of a file, a `::member` of an archive, a folder or a pattern.
        files: all files that were read from it.
    """

    path: str
    files: list[str]


class DataModule:
    """Batches of one data set. `DataModule(**options)` reads no data; `load` does.

    Examples:
        >>> model, data = seqzoo.build("task=tagging")
        >>> data.splits()
        >>> for batch in data.batches("train", epoch=0):

    Attributes:
        stateful: True: batch k + 1 continues batch k row by row (truncated backpropagation through time).
        numbers: True: inputs are features (B, T, I), not ids.
        batch_size, window: rows and steps of a typical batch, from which costs and threads are estimated.
        structure: the fields of `Steps` besides lengths that its batches have; the backbone must support them.
        remarks: notes on the data that was read, logged at the start of a run.
        float_type: the type of inputs and targets that are computed in double precision; set before `load`.
        origin: the spec of the run whose encoder is to read the data; set before `load`, which keeps its vocabulary and
            adds new words at its end.
        spec: sizes and vocabularies, known after `load`.
    """

    stateful: bool = False
    numbers: bool = False
    batch_size: int = 1
    window: int = 40
    structure: Sequence[str] = ()
    remarks: Sequence[str] = ()
    float_type: torch.dtype = torch.float32
    origin: DataSpec | None = None
    spec: DataSpec

    @property
    def unit(self) -> str:
        """What a step of the inputs is called in messages."""
        return "step" if self.numbers else "token"

    @cached_property
    def files(self) -> dict[str, ReadFiles]:
        """The files that `load` has read, by option name."""
        return {}

    @cached_property
    def places(self) -> dict[str, str]:
        """The paths that the run read when it started, by option name; `load` looks there first."""
        return {}

    @abstractmethod
    def expected_spec(self) -> DataSpec:
        """The sizes as far as they are known before any data is read.

        Returns:
            A specification with upper bounds.
        """

    def survey(self) -> Survey | None:
        """Measure the training split, for a recipe.

        Returns:
            The measurements; None: recipes choose nothing for these data.
        """
        return None

    @abstractmethod
    def load(self, spec: DataSpec | None = None) -> None:
        """Read or generate the data and set `spec`.

        Args:
            spec: that of a finished run, which is then kept; None: built from the data.
        """

    @abstractmethod
    def splits(self) -> dict[str, int]:
        """Count the examples of each split.

        Returns:
            Their numbers by the names "train", "validation" and, if there is one, "test".
        """

    @abstractmethod
    def num_batches(self, split: str, epoch: int = 0) -> int:
        """Count the batches of a split in an epoch.

        Args:
            split: a name of `splits`.
            epoch: number of the epoch, from 0.

        Returns:
            Their number.
        """

    @abstractmethod
    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of a split. The same seed, split and epoch give the same batches in the same order.

        Args:
            split: a name of `splits`.
            epoch: number of the epoch, from 0.
            start: number of batches to skip at the beginning, without the cost of building them.

        Returns:
            An iterator over batches on the CPU.
        """

    def plain_batches(self, split: str) -> Iterator[Batch]:
        """The examples of a split without augmentation, for baselines.

        Args:
            split: a name of `splits`.

        Returns:
            An iterator over batches. Where inputs are text, `Batch.tokens` holds the tokens, unknown ones as they were
            written.
        """
        return self.batches(split)

    def rows(self, split: str) -> Iterator[Row]:
        """The sizes of the examples of a split whose targets are sequences.

        Args:
            split: a name of `splits`.

        Returns:
            An iterator over one `Row` per example, in the order of the data.
        """
        for batch in self.plain_batches(split):
            lengths = batch.lengths if batch.target_lengths is None else batch.target_lengths
            targets = batch.required_targets.tolist()
            for steps, row, length in zip(batch.lengths.tolist(), targets, lengths.tolist(), strict=True):
                yield Row("", steps, row[:length])

    def padding_share(self) -> float | None:
        """Measure the padding of training batches.

        Returns:
            The share of padded steps in the inputs of the first epoch; None: rows are never padded.
        """
        return None
