"""Pictures become vectors: one for each region of a picture, or one for each frame of a clip."""

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

from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.parts import Encoder
from seqzoo.network.encoders.imagenet import FEATURES, STRIDE, EfficientNetLite0, load_efficientnet
from seqzoo.network.locked_dropout import create_dropout


class PictureEncoder(Encoder):
    """(B, C, Y, X) pictures, 0 to 1 -> (B, R, F), their regions row by row; (B, T, C, Y, X) clips -> (B, T, F), each
    frame the mean of its regions.

    dropout: on the features, 0 to 1.
    """

    def __init__(self, output_size: int, dropout: float):
        super().__init__()
        self.output_size = output_size
        self.dropout = create_dropout(dropout)

    @abstractmethod
    def regions(self, pictures: Tensor) -> Tensor:
        """(N, C, Y, X) -> (N, R, F)"""

    def forward(self, inputs: Tensor) -> Tensor:
        clips = inputs.dim() == 5
        regions = self.regions(inputs.flatten(0, 1) if clips else inputs)
        return self.dropout(regions.mean(1).unflatten(0, inputs.shape[:2]) if clips else regions)


class ImageCNN(PictureEncoder):
    """A small network that is trained with the rest. A picture may have any size; a stage halves its rows and columns.

    Each stage is a convolution of stride 2 and residual blocks, normalised over the batch (by groups of channels within
    a picture, drawn shapes were learned far slower).

    He et al., Deep Residual Learning for Image Recognition, 2016, https://arxiv.org/abs/1512.03385
    Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, 2018 (the places),
    https://arxiv.org/abs/1807.03247

    channels: of each stage; the last one's are the features F.
    places: how the network sees where things are, by two numbers from -1 to 1: regions, each region's own, two more
        features; or pixels, two more channels of the picture, as frames need, which are means of their regions.
    blocks: residual ones of each stage, behind its first convolution.
    dropout: on the features, 0 to 1.
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
        self.of_regions = of_regions
        layers: list[nn.Module] = []
        width = input_size + 2 * (not of_regions)
        for out, number in zip(channels, blocks, strict=True):
            layers += [_convolution(width, out, stride=2), nn.ReLU()]
            layers += [_Residual(out) for _ in range(number)]
            width = out
        self.layers = nn.Sequential(*layers)

    def regions(self, pictures: Tensor) -> Tensor:
        centred = 2 * pictures - 1
        maps = _placed(self.layers(centred)) if self.of_regions else self.layers(_placed(centred))
        return maps.flatten(2).transpose(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _convolution(width: int, out: int, stride: int = 1) -> nn.Module:
    # the normalisation would take a bias away
    return nn.Sequential(nn.Conv2d(width, out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out))


def _placed(maps: Tensor) -> Tensor:
    """(N, C, Y, X) -> (N, C + 2, Y, X), with how far down and how far right each place is."""
    number, _, rows, columns = maps.shape
    down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in (rows, columns))
    places = torch.stack([down[:, None].expand(rows, columns), right.expand(rows, columns)])
    return torch.cat([maps, places.to(maps.dtype).expand(number, -1, -1, -1)], dim=1)


class ImageNetFeatures(PictureEncoder):
    """1,280 features of each region of 32 x 32 pixels, by a network that was trained on ImageNet and is not trained
    further.

    What it makes of a picture is kept in the user's cache, 2.5 kB a region, so that it is computed once; where training
    pictures vary without end, so would the cache (data.crop, data.colour).

    dropout: on the features, 0 to 1.
    """

    def __init__(self, input_size: int, dropout: float = 0.0):
        if input_size != 3:
            raise ValueError(f"the network knows pictures of 3 channels, and these have {input_size}")
        super().__init__(FEATURES, dropout)
        self._network: list[EfficientNetLite0] = []  # in a list, so that its weights are none of the model's

    @torch.no_grad()
    def regions(self, pictures: Tensor) -> Tensor:
        if pictures.is_meta:
            regions = math.prod(-(-size // STRIDE) for size in pictures.shape[2:])
            return pictures.new_empty(len(pictures), regions, FEATURES)
        known = (255 * pictures).round().byte().cpu()
        folder = user_cache("imagenet_features")
        files = [folder / f"{hashlib.sha1(picture.numpy().tobytes()).hexdigest()}.npy" for picture in known]
        missing = [row for row, file in enumerate(files) if not file.is_file()]
        if missing:
            if not self._network:
                self._network.append(load_efficientnet())
            for row, found in zip(missing, self._network[0](known[missing] / 255), strict=True):
                _keep(files[row], found.flatten(1).T.half())
        found = numpy.stack([numpy.load(file) for file in files])
        return torch.from_numpy(found).to(pictures)


def _keep(file: Path, features: Tensor) -> None:
    """Written aside first, so that a run beside this one never reads half of it."""
    aside = file.with_suffix(f".{os.getpid()}")
    with aside.open("wb") as opened:
        numpy.save(opened, features.numpy())
    aside.replace(file)
