"""Encoders of pictures and clips: one vector per region of a picture, or one per frame of a clip."""

from __future__ import annotations

import hashlib
import math
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy
import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.parts import Encoder
from seqzoo.contracts.planes import block_of, divided, in_blocks, to_steps
from seqzoo.contracts.steps import Steps
from seqzoo.network.encoders.imagenet import FEATURES, STRIDE, EfficientNetLite0, load_efficientnet
from seqzoo.network.locked_dropout import create_dropout


class PictureEncoder(Encoder):
    """Pictures (B, C, Y, X), 0 to 1 -> (B, R, F), regions row by row; clips (B, T, C, Y, X) -> (B, T, F), the mean over
    the regions of each frame.

    Args:
        dropout: dropout on the features.

    Raises:
        ValueError: the pictures of a batch have different sizes.
    """

    def __init__(self, output_size: int, dropout: float):
        super().__init__()
        self.output_size = output_size
        self.dropout = create_dropout(dropout)

    def grid(self, rows: int, columns: int) -> tuple[int, int] | None:
        """The rows and columns of the regions of a picture; None: they are not known.

        Args:
            rows, columns: of the picture, in pixels.
        """
        return None

    def output_steps(self, batch: Batch) -> Steps:
        if isinstance(batch.grid, Tensor):
            raise ValueError(f"{type(self).__name__} reads pictures of one size: choose encoder=blocks for others")
        steps = super().output_steps(batch)
        if batch.inputs.dim() != 4:
            return steps
        return steps._replace(grid=self.grid(batch.inputs.shape[2], batch.inputs.shape[3]))

    @abstractmethod
    def regions(self, pictures: Tensor) -> Tensor:
        """The features of the regions of pictures: (N, C, Y, X) -> (N, R, F)."""

    def forward(self, inputs: Tensor) -> Tensor:
        clips = inputs.dim() == 5
        regions = self.regions(inputs.flatten(0, 1) if clips else inputs)
        return self.dropout(regions.mean(1).unflatten(0, inputs.shape[:2]) if clips else regions)


class Blocks(PictureEncoder):
    """The pixels of each block of a picture side by side, without weights: (B, C, Y, X) -> (B, R, C * rows * columns).

    Pictures of different sizes are in the upper left corners of those of a batch. Incomplete blocks at the edges are
    filled with zeros.

    Graves & Schmidhuber, Offline Handwriting Recognition with Multidimensional Recurrent Neural Networks, 2009,
    https://papers.nips.cc/paper/3449

    Args:
        block: rows and columns of a block, in pixels.
        dropout: dropout on the features.
    """

    def __init__(self, input_size: int, block: Sequence[int] = (4, 4), dropout: float = 0.0):
        self.block = block_of(block, "block")
        super().__init__(input_size * self.block[0] * self.block[1], dropout)

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        return divided((rows, columns), self.block)

    def regions(self, pictures: Tensor) -> Tensor:
        return in_blocks(pictures.movedim(1, 3), self.block).flatten(1, 2)

    def encode(self, batch: Batch) -> Tensor:
        if not isinstance(batch.grid, Tensor):
            return super().encode(batch)
        pixels = batch.inputs.movedim(1, 3)
        rows, columns = batch.grid[:, :, None, None].unbind(1)
        down, right = (torch.arange(size, device=pixels.device) for size in pixels.shape[1:3])
        pixels = pixels.masked_fill(((down[:, None] >= rows) | (right >= columns))[..., None], 0)
        return self.dropout(to_steps(in_blocks(pixels, self.block), divided(batch.grid, self.block)))

    def output_steps(self, batch: Batch) -> Steps:
        if not isinstance(batch.grid, Tensor):
            return super().output_steps(batch)
        grid = divided(batch.grid, self.block)
        return Steps(grid.prod(1), grid=grid)


class ImageCNN(PictureEncoder):
    """A small convolutional network, trained jointly. Pictures may have any size; each stage halves rows and columns.

    A stage is a convolution of stride 2 and residual blocks with batch normalisation (with group normalisation, drawn
    shapes were learned far slower).

    He et al., Deep Residual Learning for Image Recognition, 2016, https://arxiv.org/abs/1512.03385
    Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, 2018 (coordinates),
    https://arxiv.org/abs/1807.03247

    Args:
        channels: channels of each stage; the last number is the number of features per region.
        blocks: number of residual blocks in each stage, after its first convolution.
        places: coordinates from -1 to 1 as inputs: regions (two more features per region) or pixels (two more channels
            per pixel, for clips, whose frames are means over regions).
        dropout: dropout on the features.
    """

    def __init__(
        self,
        input_size: int,
        channels: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (0, 0, 1),
        places: Literal["regions", "pixels"] = "regions",
        dropout: float = 0.0,
    ):
        if not channels or min(channels) < 1:
            raise ValueError(f"channels is {list(channels)}: name at least one stage, each of 1 channel or more")
        if len(blocks) != len(channels) or min(blocks) < 0:
            raise ValueError(f"blocks is {list(blocks)}: give a number for each of the {len(channels)} channels")
        if len(channels) > 16 or sum(blocks) > 1_000:
            raise ValueError(f"channels and blocks name {len(channels)} stages, {sum(blocks)} blocks: too many")
        of_regions = places == "regions"
        super().__init__(channels[-1] + 2 * of_regions, dropout)
        self.of_regions, self.factor = of_regions, 2 ** len(channels)
        layers: list[nn.Module] = []
        width = input_size + 2 * (not of_regions)
        for out, number in zip(channels, blocks, strict=True):
            layers += [_convolution(width, out, stride=2), nn.ReLU()]
            layers += [_Residual(out) for _ in range(number)]
            width = out
        self.layers = nn.Sequential(*layers)

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        return divided((rows, columns), (self.factor, self.factor))

    def regions(self, pictures: Tensor) -> Tensor:
        centred = 2 * pictures - 1
        maps = _with_coordinates(self.layers(centred)) if self.of_regions else self.layers(_with_coordinates(centred))
        return maps.flatten(2).transpose(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _convolution(width: int, out: int, stride: int = 1) -> nn.Module:
    # no bias, which the normalisation would cancel
    return nn.Sequential(nn.Conv2d(width, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out))


def _with_coordinates(maps: Tensor) -> Tensor:
    """Append vertical and horizontal coordinates: (N, C, Y, X) -> (N, C + 2, Y, X)."""
    number, _, rows, columns = maps.shape
    down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in (rows, columns))
    places = torch.stack([down[:, None].expand(rows, columns), right.expand(rows, columns)])
    return torch.cat([maps, places.to(maps.dtype).expand(number, -1, -1, -1)], dim=1)


class ImageNetFeatures(PictureEncoder):
    """1,280 features per region of 32 x 32 pixels, from a frozen network pretrained on ImageNet.

    Features are stored in the user's cache, 2.5 kB per region, so that they are computed once per picture. With random
    augmentation of the training pictures (data.crop, data.colour) the cache grows without bound.

    Args:
        dropout: dropout on the features.
    """

    def __init__(self, input_size: int, dropout: float = 0.0):
        if input_size != 3:
            raise ValueError(f"the network reads pictures of 3 channels, and these have {input_size}")
        super().__init__(FEATURES, dropout)
        self._network: list[EfficientNetLite0] = []  # in a list, so that its weights are not parameters of the model

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        return divided((rows, columns), (STRIDE, STRIDE))

    @torch.no_grad()
    def regions(self, pictures: Tensor) -> Tensor:
        if pictures.is_meta:
            regions = math.prod(self.grid(*pictures.shape[2:]))
            return pictures.new_empty(len(pictures), regions, FEATURES)
        pixels = (255 * pictures).round().byte().cpu()
        folder = user_cache("imagenet_features")
        files = [folder / f"{hashlib.sha1(picture.numpy().tobytes()).hexdigest()}.npy" for picture in pixels]
        missing = [row for row, file in enumerate(files) if not file.is_file()]
        if missing:
            if not self._network:
                self._network.append(load_efficientnet())
            for row, maps in zip(missing, self._network[0](pixels[missing] / 255), strict=True):
                _store(files[row], maps.flatten(1).T.half())
        features = numpy.stack([numpy.load(file) for file in files])
        return torch.from_numpy(features).to(pictures)


def _store(file: Path, features: Tensor) -> None:
    """Write a file atomically, because other processes may read it."""
    temporary = file.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as opened:
        numpy.save(opened, features.numpy())
    temporary.replace(file)
