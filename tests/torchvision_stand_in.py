"""In the place of torchvision, of which there is no build for the CPU's torch: `torchvision.models` with three small
networks whose parts are named as its own are.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from torch import Tensor, nn


class _ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 5, 3, stride=4, padding=1, bias=False), nn.BatchNorm2d(5)
        self.layer1 = nn.Conv2d(5, 6, 3, stride=2, padding=1)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 10)


class _MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
        self.avgpool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 10)


class _Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = _ChannelsLast()


class _ChannelsLast(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 4, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).permute(0, 2, 3, 1)


def get_model(name: str, weights: str | None) -> nn.Module:
    known = {"resnet18": _ResNet, "mobilenet_v3_small": _MobileNet, "swin_t": _Swin}
    if name not in known:
        raise ValueError(f"Unknown model {name}")
    return known[name]()


def install() -> None:
    """Install the stand-in if torchvision is missing."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    package, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    for module in (package, models):
        module.__spec__ = ModuleSpec(module.__name__, None)
    package.models, models.get_model = models, get_model
    sys.modules |= {"torchvision": package, "torchvision.models": models}
