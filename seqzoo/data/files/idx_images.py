"""Labelled pictures from idx files, such as MNIST, whole or as sequences of rows or pixels.

LeCun, Cortes & Burges, The MNIST Database of Handwritten Digits, 1998 (the format, too),
http://yann.lecun.com/exdb/mnist
Le, Jaitly & Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015 (section 4.2: pixel
by pixel, in order and permuted), https://arxiv.org/abs/1504.00941
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.checks import check_at_least_one
from seqzoo.data.numbers import SequenceData, Sequences
from seqzoo.data.sources.locations import LocatedData
from seqzoo.data.sources.packed import read_bytes
from seqzoo.data.splits import GENERATION_SEED
from seqzoo.data.text.codec import LabelCodec

WIDTH = 28
"""The width of MNIST and similar data sets, which is assumed before a file has been read."""
CLASSES = 256
"""The maximum number of classes, since a label is one byte."""


@dataclass(eq=False, kw_only=True)
class IdxImages(LocatedData, SequenceData):
    """Inputs (B, T, I), or (B, 1, Y, X) with order="pictures", from 0 (black) to 1; targets (B,). The name of a class
    is its number in the file.

    Args:
        train_images, train_labels: idx files of the training split.
        test_images, test_labels: idx files of the test split; None: there is none.
        validation_size: number of pictures that are held out of the training file, the same ones in all runs.
        order: rows: T rows of I pixels; pixels: one pixel per step, row by row; permuted: one pixel per step, in a
            fixed random order that is the same for all pictures and runs; pictures: whole pictures, for an encoder of
            pictures.
    """

    train_images: str
    train_labels: str
    test_images: str | None = None
    test_labels: str | None = None
    validation_size: int = 5_000
    order: Literal["rows", "pixels", "permuted", "pictures"] = "rows"
    batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_one(self, "validation_size")
        if (self.test_images is None) != (self.test_labels is None):
            raise ValueError("test_images and test_labels belong together: give both, or neither")

    def expected_spec(self) -> DataSpec:
        picture = [1, WIDTH, WIDTH] if self.order == "pictures" else None
        return DataSpec("classification", WIDTH if self.order == "rows" else 1, CLASSES, picture=picture)

    def load(self, spec: DataSpec | None = None) -> None:
        images, labels = read_labelled(self, self.train_images, self.train_labels)
        if self.validation_size >= len(images):
            raise DataError(
                f"data.validation_size={self.validation_size:,} leaves none of the {len(images):,} pictures of "
                f"{self.train_images} to train on: lower it"
            )
        classes = [str(label) for label in sorted(set(labels.tolist()))]
        expected = self.spec_of(classes, images.shape[1:])
        if spec is None:
            spec = expected
        elif any(
            getattr(spec, name) != getattr(expected, name) for name in ("kind", "input_size", "inputs", "picture")
        ):
            raise DataError("the saved run was trained on data of another kind or size: choose other data")
        self.spec = spec
        held_out, rest = held_out_and_rest(len(images), self.validation_size)
        self._sequences = {
            "train": self._split(self.train_labels, images[rest], labels[rest]),
            "validation": self._split(self.train_labels, images[held_out], labels[held_out]),
        }
        if self.test_images is not None and self.test_labels is not None:
            test_images, test_labels = read_labelled(self, self.test_images, self.test_labels)
            if test_images.shape[1:] != images.shape[1:]:
                raise DataError(
                    f"the pictures of {self.test_images} are {size_of(test_images)}, those of {self.train_images} "
                    f"{size_of(images)}: give files of one size"
                )
            self._sequences["test"] = self._split(self.test_labels, test_images, test_labels)

    def spec_of(self, classes: list[str], size: Sequence[int]) -> DataSpec:
        """The spec of pictures of these classes; size: their rows and columns."""
        picture = [1, *size] if self.order == "pictures" else None
        input_size = size[1] if self.order == "rows" else 1
        return DataSpec("classification", input_size, len(classes), None, LabelCodec(classes), picture=picture)

    def as_numbers(self, inputs: Tensor) -> Tensor:
        return inputs.float() / 255

    def _split(self, name: str, images: Tensor, labels: Tensor) -> Sequences:
        """The first `limit` pictures, as bytes, and the ids of their classes."""
        try:
            targets = self.spec.target_codec.encode([str(label) for label in labels[: self.limit].tolist()])
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        return Sequences(sequences(images[: self.limit], self.order), torch.tensor(targets))


def read_labelled(data: LocatedData, images: str, labels: str) -> tuple[Tensor, Tensor]:
    """Read pictures (N, H, W) and labels (N,) from the files that two options name. Raises DataError."""
    pictures = read_idx(data.path(images), 3)
    numbers = read_idx(data.path(labels), 1)
    if len(pictures) != len(numbers):
        raise DataError(
            f"{images} has {len(pictures):,} pictures, but {labels} has {len(numbers):,} labels: "
            "give two files that belong together"
        )
    return pictures, numbers


def held_out_and_rest(number: int, size: int) -> tuple[Tensor, Tensor]:
    """The indices of `size` of `number` pictures, the same ones in all runs, and those of all others."""
    order = torch.randperm(number, generator=torch.Generator().manual_seed(GENERATION_SEED))
    return order[:size], order[size:]


def sequences(images: Tensor, order: str) -> Tensor:
    """Pictures as sequences: (N, H, W) -> (N, T, I); or with a channel, (N, 1, H, W), for order="pictures"."""
    if order == "rows":
        return images
    if order == "pictures":
        return images[:, None]
    pixels = images.flatten(1)
    if order == "permuted":
        generator = torch.Generator().manual_seed(GENERATION_SEED)
        pixels = pixels[:, torch.randperm(pixels.shape[1], generator=generator)]
    return pixels[..., None]


def read_idx(path: str, dimensions: int) -> Tensor:
    """Read an idx file of bytes, plain or compressed.

    Args:
        path: of the file.
        dimensions: 1 for labels, 3 for pictures.

    Returns:
        Labels (N,) or pictures (N, H, W), bytes.

    Raises:
        DataError: the file is incomplete, empty, or of another kind.
    """
    data = read_bytes(path)
    magic = bytes([0, 0, 8, dimensions])  # 8: unsigned bytes
    if not data.startswith(magic):
        kind = "labels" if dimensions == 1 else "pictures"
        raise DataError(
            f"{path} begins with {data[:4].hex(' ')}, but an idx file of {kind} begins with {magic.hex(' ')}: check "
            "that it is an idx file, and that pictures and labels are not interchanged"
        )
    header = len(magic) + 4 * dimensions
    if len(data) < header:
        raise DataError(f"{path} ends within its header: fetch it again")
    sizes = struct.unpack(f">{dimensions}I", data[len(magic) : header])
    if len(data) != header + math.prod(sizes):
        raise DataError(
            f"{path} has {len(data):,} bytes where its header promises {header + math.prod(sizes):,}: fetch it again"
        )
    if len(data) == header:
        raise DataError(f"{path} is empty: give another file")
    # a copy, since a tensor must not share memory with immutable bytes
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=header).view(sizes)


def size_of(images: Tensor) -> str:
    """The size of pictures for a message, "28 x 28"."""
    return " x ".join(str(size) for size in images.shape[1:])
