"""Clips of moving handwritten digits, with one label per frame or per clip.

Source: Srivastava, Mansimov & Salakhutdinov, Unsupervised Learning of Video Representations using LSTMs, 2015,
https://arxiv.org/abs/1502.04681
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.files.idx_images import IdxImages
from seqzoo.data.numbers import Sequences
from seqzoo.data.splits import GENERATION_SEED
from seqzoo.data.text.codec import LabelCodec

MOVES = ("start", "left up", "right up", "left down", "right down")
DIGIT = 16
"""Height and width of a digit in a clip, in pixels."""


@dataclass(eq=False, kw_only=True)
class MovingDigits(IdxImages):
    """Inputs (B, T, 1, size, size) from 0 (black) to 1. The clips are the same in all runs.

    Args:
        labels: moves, targets (B, T), the direction in which the digit moved to its place in each frame; or digits,
            targets (B,), the digit.
        frames: T.
        size: height and width of a frame, in pixels.
        clips: maximum number of clips per split.
    """

    labels: Literal["moves", "digits"] = "moves"
    frames: int = 12
    size: int = 32
    clips: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "frames", "clips")
        if self.size <= DIGIT + 1:
            raise ValueError(f"size={self.size} is too small: a digit of {DIGIT} pixels needs room to move")

    def expected_spec(self) -> DataSpec:
        return self.spec_of(list("0123456789"), [])

    def spec_of(self, classes: list[str], size: Sequence[int]) -> DataSpec:
        codec = LabelCodec(MOVES if self.labels == "moves" else classes)
        kind = "tagging" if self.labels == "moves" else "classification"
        return DataSpec(kind, 1, codec.size, None, codec, picture=[1, self.size, self.size])

    def _split(self, name: str, images: Tensor, labels: Tensor) -> Sequences:
        images, labels = images[: self.clips], labels[: self.clips]
        clips, moves = move(images[: self.limit], self.frames, self.size)
        if self.labels == "digits":
            moves = super()._split(name, images, labels).targets
        return Sequences(clips, moves)


def move(images: Tensor, frames: int, size: int) -> tuple[Tensor, Tensor]:
    """Let digits move straight ahead and bounce off the edges.

    Args:
        images: (N, H, W), bytes.
        frames: T.
        size: height and width of a frame.

    Returns:
        Clips (N, T, 1, size, size), bytes, and the index in MOVES of the move to each frame, (N, T).
    """
    number = len(images)
    generator = torch.Generator().manual_seed(GENERATION_SEED)
    digits = F.interpolate(images[:, None].float(), (DIGIT, DIGIT), mode="area")[:, 0].byte()
    room = size - DIGIT
    places = torch.randint(room + 1, (number, 2), generator=generator)  # down, right
    steps = torch.randint(1, 4, (number, 2), generator=generator)
    steps = steps * (2 * torch.randint(2, (number, 2), generator=generator) - 1)
    clips = images.new_zeros(number, frames, 1, size, size)
    moves = torch.zeros(number, frames, dtype=torch.long)
    rows, inside = torch.arange(number)[:, None, None], torch.arange(DIGIT)
    for frame in range(frames):
        if frame:
            leaves = (places + steps < 0) | (places + steps > room)
            steps = torch.where(leaves, -steps, steps)
            places = (places + steps).clamp(0, room)
            down, right = (steps > 0).long().unbind(1)
            moves[:, frame] = 1 + right + 2 * down
        down, right = places.unbind(1)
        clips[rows, frame, 0, (down[:, None] + inside)[:, :, None], (right[:, None] + inside)[:, None]] = digits
    return clips, moves
