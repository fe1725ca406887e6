"""Pictures become vectors: one for each region of a picture, or one for each frame of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqzoo.contracts import Encoder

GROUPS = 8
"""Of channels that are normalised together."""


class ImageCNN(Encoder):
    """(B, C, Y, X) pictures, 0 to 1 -> (B, R, F), their regions row by row; (B, T, C, Y, X) clips -> (B, T, F), each
    frame the mean of its regions. A picture may have any size; a stage halves its rows and columns.

    Each stage is a convolution of stride 2 and residual blocks. The network sees where a pixel is: two channels hold
    the places, from -1 to 1.

    He et al., Deep Residual Learning for Image Recognition, 2016, https://arxiv.org/abs/1512.03385
    Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution, 2018 (the places),
    https://arxiv.org/abs/1807.03247

    channels: of each stage; the last one's are the features F.
    blocks: residual ones of each stage, behind its first convolution.
    dropout: on the features, 0 to 1.
    """

    def __init__(
        self,
        input_size: int,
        channels: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (0, 0, 1),
        dropout: float = 0.0,
    ):
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels is {list(channels)}: name at least one stage, each of 1 channel or more")
        if len(blocks) != len(channels) or min(blocks) < 0:
            raise ValueError(f"blocks is {list(blocks)}: give a number for each of the {len(channels)} channels")
        self.output_size = channels[-1]
        layers: list[nn.Module] = []
        width = input_size + 2
        for out, number in zip(channels, blocks, strict=True):
            layers += [_convolution(width, out, stride=2), nn.ReLU()]
            layers += [_Residual(out) for _ in range(number)]
            width = out
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        clips = inputs.dim() == 5
        pictures = inputs.flatten(0, 1) if clips else inputs
        maps = self.layers(torch.cat([2 * pictures - 1, _places(pictures)], dim=1))
        regions = maps.flatten(2).transpose(1, 2)
        return self.dropout(regions.mean(1).unflatten(0, inputs.shape[:2]) if clips else regions)


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _convolution(width: int, out: int, stride: int = 1) -> nn.Module:
    # the normalisation would take a bias away
    convolution = nn.Conv2d(width, out, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(math.gcd(GROUPS, out), out))


def _places(pictures: Tensor) -> Tensor:
    """(N, 2, Y, X): how far down and how far right each pixel is, from -1 to 1."""
    number, _, rows, columns = pictures.shape
    down, right = (torch.linspace(-1, 1, size, device=pictures.device) for size in (rows, columns))
    places = torch.stack([down[:, None].expand(rows, columns), right.expand(rows, columns)])
    return places.to(pictures.dtype).expand(number, -1, -1, -1)
