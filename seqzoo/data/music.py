"""Data sets of polyphonic music: pieces as sequences of frames, each of which is predicted from those before it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.note_notation import FINEST_GRID, KEYS
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.survey import Survey, measure_steps
from seqzoo.data.batching.bucketed_data import BucketedData
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.batching.ragged import is_padded
from seqzoo.data.checks import check_at_least_one, check_filled, check_items, check_splits
from seqzoo.data.sources.notes import Piece
from seqzoo.data.splits import evenly, part_of


class Pieces:
    """The pieces of one split in one flat tensor.

    Args:
        frames: (T, 88) bytes of each piece, T at least 2.

    Attributes:
        lengths: the number of predicted frames of each piece, T - 1.
    """

    def __init__(self, frames: Sequence[Tensor]):
        self.frames = torch.cat([*frames])
        steps = torch.tensor([len(piece) for piece in frames])
        self.starts = steps.cumsum(0) - steps
        self.lengths = steps - 1
        keys = torch.stack([piece.amax(0) for piece in frames])
        self.lowest = keys.argmax(1)
        self.highest = KEYS - 1 - keys.flip(1).argmax(1)

    def shifts(self, rows: list[int], most: int, generator: torch.Generator) -> Tensor:
        """Random transpositions of some pieces, (B,), in keys, of at most `most` and within the keyboard."""
        drawn = torch.randint(-most, most + 1, (len(rows),), generator=generator)
        return drawn.clamp(-self.lowest[rows], KEYS - 1 - self.highest[rows])

    def window(self, rows: list[int], first: int, steps: int, shifts: Tensor | None = None) -> Batch:
        """The predicted frames from `first` on of some pieces that all have some there, at most `steps` of each.

        Args:
            rows: the pieces.
            first: number of predicted frames that are left out at the beginning.
            steps: maximum number of predicted frames.
            shifts: (B,) by how many keys each piece is transposed upwards; None: not at all.
        """
        lengths = (self.lengths[rows] - first).clamp(max=steps)
        places = torch.arange(int(lengths.max()) + 1)
        index = (self.starts[rows, None] + first + places).clamp(max=len(self.frames) - 1)
        frames = self.frames[index].float().masked_fill((places > lengths[:, None])[..., None], 0.0)
        if shifts is not None:
            # no note leaves the keyboard, so that those which a circular shift brings in are all silent
            keys = (torch.arange(KEYS) - shifts[:, None]) % KEYS
            frames = frames.gather(2, keys[:, None].expand_as(frames))
        padding = (places[1:] > lengths[:, None])[..., None]
        return Batch(frames[:, :-1].masked_fill(padding, 0.0), lengths, frames[:, 1:], padded=is_padded(lengths))


@dataclass(eq=False, kw_only=True)
class Music(BucketedData):
    """The base of data sets of polyphonic music. A subclass implements `read`.

    Inputs are the frames 1 to T - 1 of a piece, (B, T - 1, 88), 1 where a note sounds; targets are the frames 2 to T.
    Pieces of similar length share a batch. A batch has at most `window` steps: longer pieces are continued by the next
    one, with the state carried over (`Batch.continues`).

    Args:
        batch_size: number of pieces in a batch.
        window: maximum number of steps of a batch, over which errors are backpropagated.
        transpose: maximum number of semitones by which a training piece is transposed at random, up or down.
        steps_per_quarter: steps of the grid per quarter note, at most 96.
    """

    batch_size: int = 2
    window: int = 256
    transpose: int = 0
    steps_per_quarter: int = 1

    numbers = True
    stateful = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "window")
        if not 1 <= self.steps_per_quarter <= FINEST_GRID:
            raise ValueError(f"steps_per_quarter={self.steps_per_quarter} must be between 1 and {FINEST_GRID}")
        if not 0 <= self.transpose < KEYS:
            raise ValueError(f"transpose={self.transpose} must be at least 0 and below {KEYS} semitones")

    @abstractmethod
    def read(self) -> dict[str, list[Piece]]:
        """The pieces of "train", "validation" and, where there is one, "test"."""

    def _checked_read(self) -> dict[str, list[Piece]]:
        """The result of `read`, checked."""
        pieces = self.read()
        check_splits(self, pieces, list | tuple, "a list of Pieces")
        check_items(self, pieces, lambda item: isinstance(item, Piece), "Pieces")
        return pieces

    def survey(self) -> Survey:
        pieces = self._checked_read()
        lengths = [len(piece.frames) - 1 for piece in pieces["train"]]
        held_out = len(pieces.get("validation", []))
        return Survey("polyphony", len(lengths), held_out, measure_steps(lengths), numbers=True, ahead=True)

    def expected_spec(self) -> DataSpec:
        return DataSpec("polyphony", KEYS, KEYS, steps_per_quarter=self.steps_per_quarter)

    def load(self, spec: DataSpec | None = None) -> None:
        expected = self.expected_spec()
        if spec is not None and spec != expected:
            raise DataError("the saved run was trained on data of another kind, or on another grid: choose other data")
        self.spec = expected
        self._pieces = {
            split: Pieces([piece.frames for piece in evenly(pieces, self.limit)])
            for split, pieces in self._checked_read().items()
        }
        rows = {split: pieces.lengths for split, pieces in self._pieces.items()}
        check_filled(self, rows, "pieces")
        self.plan_batches({split: len(lengths) for split, lengths in rows.items()})

    def row_lengths(self, split: str, epoch: int) -> list[int]:
        return self._of(split).lengths.tolist()

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return sum(self._windows(split, rows) for rows in self._plans.of(split, epoch))

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        pieces = self._of(split)
        for number, rows in enumerate(self._plans.of(split, epoch)):
            windows = self._windows(split, rows)
            shifts = None
            if split == "train" and self.transpose:
                shifts = pieces.shifts(rows, self.transpose, generator_at(self.seed, epoch, number))
            for window in range(start, windows):
                yield self._window(pieces, rows, window, shifts)
            start = max(0, start - windows)

    def plain_batches(self, split: str) -> Iterator[Batch]:
        """Whole pieces, in the order of the data."""
        pieces = self._of(split)
        for row, length in enumerate(pieces.lengths.tolist()):
            yield pieces.window([row], 0, length)

    def _window(self, pieces: Pieces, rows: list[int], window: int, shifts: Tensor | None) -> Batch:
        """A window of those pieces that last until there."""
        lengths, first = pieces.lengths[rows], window * self.window
        lasting = (lengths > first).nonzero()[:, 0]
        batch = pieces.window(
            [rows[i] for i in lasting.tolist()], first, self.window, None if shifts is None else shifts[lasting]
        )
        before = lengths > first - self.window
        batch.continues = (before.cumsum(0) - 1)[lasting] if window else torch.full_like(lasting, -1)
        return batch

    def _windows(self, split: str, rows: list[int]) -> int:
        return -(-int(self._of(split).lengths[rows].max()) // self.window)

    def _of(self, split: str) -> Pieces:
        return part_of(self._pieces, split)
