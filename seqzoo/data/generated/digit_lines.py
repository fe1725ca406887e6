"""Lines of handwritten digits as pictures, made from idx files such as MNIST, with the digits as texts.

Source: after Graves & Schmidhuber, Offline Handwriting Recognition with Multidimensional Recurrent Neural Networks,
2009 (lines of handwriting), https://papers.nips.cc/paper/3449
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import Row
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.bucketing import padding_share
from seqzoo.data.captions import CaptionData, Captioned
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.files.idx_images import held_out_and_rest, read_labelled
from seqzoo.data.numbers import generator_of
from seqzoo.data.sources.locations import LocatedData
from seqzoo.data.sources.pictures import lines_of_text
from seqzoo.data.splits import split_sizes
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS

DIGITS = [str(number) for number in range(10)]
DIGIT, HEIGHT, WIDTH = 28, 32, 136
"""Height and width of a digit in pixels, height of a line, and width of a line of five digits."""
LONGEST = 1_000
"""Most digits of a line."""


@dataclass(eq=False, kw_only=True)
class DigitLines(LocatedData, CaptionData):
    """Pictures (B, 1, 32, X) of strings of digits, from 0 (black) to 1, and the strings as targets (B, U). The lines
    are the same in all runs, and each split is made from digits of its own.

    Args:
        train_images, train_labels: idx files of digits for the training and the validation split.
        test_images, test_labels: idx files of digits for the test split.
        held_out: number of digits that are held out of the training file for the validation split.
        train_size, validation_size, test_size: number of lines.
        shortest, longest: number of digits of a line.
        spacing: smallest and largest distance in pixels between the squares of 28 pixels that contain digits with
            margins of 4; where it is negative, squares overlap.
        slant: greatest slant of a line to either side, in columns per row.
        noise: greatest standard deviation of the noise of a line.
    """

    train_images: str
    train_labels: str
    test_images: str
    test_labels: str
    held_out: int = 5_000
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 2_000
    shortest: int = 3
    longest: int = 7
    spacing: list[int]
    slant: float = 0.4
    noise: float = 0.1
    tokenizer: str = "characters"

    structure = ("grid",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "held_out", "shortest", "longest")
        if not self.shortest <= self.longest <= LONGEST:
            raise ValueError(
                f"shortest is {self.shortest} and longest {self.longest}: a line has at least as many digits as "
                f"shortest and at most {LONGEST:,}"
            )
        if len(self.spacing) != 2 or not 4 - DIGIT <= self.spacing[0] <= self.spacing[1] <= 100:
            raise ValueError(
                f"spacing is {self.spacing}: give the smallest and the largest distance in pixels, from {4 - DIGIT} "
                "to 100"
            )
        if not (0 <= self.slant <= 2 and 0 <= self.noise <= 1):
            raise ValueError(f"slant is {self.slant} and noise {self.noise}: they are from 0 to 2 and from 0 to 1")

    def input_sizes(self) -> tuple[int, list[int]]:
        return 1, [1, HEIGHT, WIDTH]

    def expected_spec(self) -> DataSpec:
        return self._spec(TextCodec.learn(self.tokenizer, [DIGITS], TARGET_SPECIALS))

    def _spec(self, codec: TextCodec | None) -> DataSpec:
        return replace(super()._spec(codec), lines=True)

    def read(self) -> dict[str, Captioned]:
        images, labels = read_labelled(self, self.train_images, self.train_labels)
        if self.held_out >= len(images):
            raise DataError(
                f"data.held_out={self.held_out:,} leaves none of the {len(images):,} digits of {self.train_images} to "
                "train on: lower it"
            )
        held_out, rest = held_out_and_rest(len(images), self.held_out)
        digits = {"train": (images[rest], labels[rest]), "validation": (images[held_out], labels[held_out])}
        digits["test"] = read_labelled(self, self.test_images, self.test_labels)
        splits = {}
        for split, size in split_sizes(self).items():
            pictures, numbers = digits[split]
            if pictures.shape[1:] != (DIGIT, DIGIT):
                raise DataError(
                    f"the digits of the {split} split have {pictures.shape[1]} x {pictures.shape[2]} pixels, and lines "
                    f"are made of digits of {DIGIT} x {DIGIT}: give other files"
                )
            drawn = DrawnLines(pictures, self._plan(split, size, len(pictures)), self.slant)
            texts = ["".join(str(int(numbers[row])) for row in line.digits) for line in drawn.lines]
            splits[split] = Captioned(drawn, [[text] for text in texts], [""] * size)
        return splits

    def _plan(self, split: str, size: int, number: int) -> list[Line]:
        """The lines of a split, made of `number` digits."""
        generator = generator_of(split)
        counts = torch.randint(self.shortest, self.longest + 1, (size,), generator=generator).tolist()
        total, (closest, widest) = sum(counts), self.spacing
        digits = torch.randint(number, (total,), generator=generator).split(counts)
        spaces = torch.randint(closest, widest + 1, (total,), generator=generator).split(counts)
        drops = torch.randint(HEIGHT - DIGIT + 1, (total,), generator=generator).split(counts)
        slants = (self.slant * (2 * torch.rand(size, generator=generator) - 1)).tolist()
        noises = (self.noise * torch.rand(size, generator=generator)).tolist()
        seeds = torch.randint(2**31, (size,), generator=generator).tolist()
        plans = zip(digits, spaces, drops, slants, noises, seeds, strict=True)
        return [Line(row.tolist(), space.tolist(), drop.tolist(), *rest) for row, space, drop, *rest in plans]

    def batch_of(self, split: str, rows: list[int], epoch: int, number: int | None) -> Batch:
        batch, encoded = super().batch_of(split, rows, epoch, number), self._encoded[split]
        widths = [encoded.pictures.width(encoded.rows[row]) for row in rows]  # type: ignore[attr-defined]
        batch.grid = torch.tensor([[HEIGHT, width] for width in widths])
        batch.lengths, batch.padded = batch.grid.prod(1), min(widths) < max(widths)
        return batch

    def row_lengths(self, split: str, epoch: int) -> list[int]:
        encoded = self._encoded[split]
        return [encoded.pictures.width(row) for row in encoded.rows]  # type: ignore[attr-defined]

    def padding_share(self) -> float:  # type: ignore[override]
        return padding_share(self.row_lengths("train", 0), self._plans.of("train", 0))

    def rows(self, split: str) -> Sequence[Row]:  # type: ignore[override]
        encoded = self._encoded[split]
        targets, lengths = encoded.captions.gather(encoded.first)
        of_rows = zip(self.row_lengths(split, 0), targets.tolist(), lengths.tolist(), strict=True)
        return [Row("", HEIGHT * width, ids[:length], (HEIGHT, width)) for width, ids, length in of_rows]


class Line(NamedTuple):
    """A line before it is drawn.

    Attributes:
        digits: their numbers among those of the split.
        spaces: before each digit, in pixels.
        drops: number of rows above each digit.
        slant: columns per row.
        noise: standard deviation.
        seed: of the noise.
    """

    digits: list[int]
    spaces: list[int]
    drops: list[int]
    slant: float
    noise: float
    seed: int


class DrawnLines:
    """The pictures of lines.

    Args:
        digits: (N, 28, 28), bytes.
        lines: made of these.
        slant: the greatest one, for which there is room at both ends of a line.
    """

    def __init__(self, digits: Tensor, lines: list[Line], slant: float):
        self.digits, self.lines = digits, lines
        self._margin = round(slant * HEIGHT / 2)

    def __len__(self) -> int:
        return len(self.lines)

    def width(self, row: int) -> int:
        """The number of columns of a line."""
        line = self.lines[row]
        return 2 * self._margin + DIGIT * len(line.digits) + sum(line.spaces[1:])

    def gather(self, rows: list[int]) -> Tensor:
        return lines_of_text([self._draw(row) for row in rows]).inputs

    def _draw(self, row: int) -> Tensor:
        """A line, (1, Y, X)."""
        line, width = self.lines[row], self.width(row)
        picture, left = torch.zeros(HEIGHT, width), self._margin
        for number, (digit, space, drop) in enumerate(zip(line.digits, line.spaces, line.drops, strict=True)):
            left += space * (number > 0)
            square = picture[drop : drop + DIGIT, left : left + DIGIT]
            torch.maximum(square, self.digits[digit] / 255, out=square)
            left += DIGIT
        # row y moves by slant times its distance from the middle
        turn = torch.tensor([[[1, line.slant * HEIGHT / width, 0], [0, 1, 0]]])
        places = F.affine_grid(turn, [1, 1, HEIGHT, width], align_corners=False)
        slanted = F.grid_sample(picture[None, None], places, align_corners=False)[0]
        generator = torch.Generator().manual_seed(line.seed)
        return (slanted + line.noise * torch.randn(slanted.shape, generator=generator)).clamp(0, 1)
