"""Pictures through a convolutional network of torchvision, an optional dependency."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqzoo.contracts.errors import ConfigError, DataError, not_installed
from seqzoo.network.encoders.images import PictureEncoder

# mean and standard deviation of the channels of ImageNet, with which torchvision's networks were trained
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionFeatures(PictureEncoder):
    """The last feature map of a network of torchvision, before pooling and classification.

    Args:
        network: a name of `torchvision.models.list_models()` with a last feature map (N, F, y, x), such as resnet18,
            densenet121 or mobilenet_v3_small.
        weights: pretrained weights, such as DEFAULT, which torchvision downloads once; None: untrained.
        freeze: do not train the network, its normalisation layers included.
        dropout: dropout on the features.

    Raises:
        ConfigError: torchvision is not installed, or the network has no such feature map.
    """

    needs: ClassVar[dict[str, str]] = {"freeze": "weights!=null"}

    def __init__(
        self,
        input_size: int,
        network: str = "resnet18",
        weights: str | None = None,
        freeze: bool = False,
        dropout: float = 0.0,
    ):
        if input_size != 3:
            raise ValueError(f"the networks of torchvision read pictures of 3 channels, and these have {input_size}")
        trunk = _before_pooling(network, None).requires_grad_(not freeze)
        super().__init__(_channels(trunk, network), dropout)
        self.network, self.name, self.weights, self.freeze = trunk, network, weights, freeze

    def load_pretrained(self) -> None:
        if self.weights is not None:
            self.network.load_state_dict(_before_pooling(self.name, self.weights).state_dict())

    def train(self, mode: bool = True) -> TorchvisionFeatures:
        super().train(mode)
        self.network.train(mode and not self.freeze)
        return self

    def regions(self, pictures: Tensor) -> Tensor:
        mean, deviation = (pictures.new_tensor(of)[:, None, None] for of in (MEAN, DEVIATION))
        return self.network((pictures - mean) / deviation).flatten(2).transpose(1, 2)


@torch.no_grad()
def _channels(network: nn.Module, name: str) -> int:
    """The number of channels of the last feature map."""
    side = 64
    try:
        shape = tuple(network.eval()(next(network.parameters()).new_zeros(1, 3, side, side)).shape)
    except (RuntimeError, AssertionError):  # its children are not applied in sequence
        shape = ()
    if len(shape) != 4 or not shape[2] == shape[3] < side:
        raise ConfigError([f"encoder.network is {name}, which has no feature map: choose a convolutional network"])
    return shape[1]


def _before_pooling(name: str, weights: str | None) -> nn.Module:
    """A network up to its last feature map."""
    try:
        models: Any = importlib.import_module("torchvision.models")
    except ModuleNotFoundError:
        raise ConfigError([f"encoder=torchvision needs {not_installed('torchvision')}"]) from None
    except (ImportError, RuntimeError) as error:  # built for another version of torch
        raise ConfigError(
            [f"encoder=torchvision needs a torchvision that was built for this torch: {error}"]
        ) from error
    try:
        network = models.get_model(name, weights=weights)
    except (ValueError, KeyError, AttributeError) as error:
        raise ConfigError([f"encoder.network={name}, encoder.weights={weights}: torchvision says: {error}"]) from error
    except OSError as error:
        advice = "Give encoder.weights=null to train without"
        raise DataError(f"the weights {weights} of {name} could not be downloaded: {error}. {advice}") from error
    if isinstance(getattr(network, "features", None), nn.Module):
        return network.features
    trunk: list[nn.Module] = []
    for child in network.children():
        if isinstance(child, (nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.Linear)):
            break
        trunk.append(child)
    return nn.Sequential(*trunk)
