"""Networks of torchvision, or those in their place, cut off before they pool."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from seqzoo.configuration.overrides import examine
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.network.encoders.torchvision_features import TorchvisionFeatures


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v3_small"])
def test_regions_are_those_of_the_last_map(network: str) -> None:
    encoder = TorchvisionFeatures(3, network=network).eval()
    pictures = torch.rand(2, 3, 32, 64)
    found = encoder(pictures)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    maps = encoder.network((pictures - mean[:, None, None]) / deviation[:, None, None])
    assert found.shape == (2, maps.shape[2] * maps.shape[3], encoder.output_size)
    torch.testing.assert_close(found[1, maps.shape[3]], maps[1, :, 1, 0])  # the first region of the second row
    torch.testing.assert_close(encoder(pictures[None])[0], found.mean(1))  # as two frames of a clip


def test_frozen_weights_do_not_change() -> None:
    encoder = TorchvisionFeatures(3, freeze=True).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder(torch.rand(4, 3, 32, 32))
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_unusable_networks_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="torchvision says: Unknown model resnet19"):
        TorchvisionFeatures(3, network="resnet19")
    with pytest.raises(ConfigError, match="swin_t, which has no feature map"):
        TorchvisionFeatures(3, network="swin_t")
    with pytest.raises(ValueError, match="3 channels, and these have 1"):
        TorchvisionFeatures(1)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ConfigError, match="encoder=torchvision needs torchvision"):
        TorchvisionFeatures(3)


def test_pretrained_weights_are_loaded_when_training_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    models = sys.modules["torchvision.models"]
    own, asked = models.get_model, []

    def get_model(name: str, weights: str | None) -> nn.Module:
        if weights == "LOST":
            raise OSError("no network")
        asked.append(weights)
        return own(name, weights=None)

    monkeypatch.setattr(models, "get_model", get_model)
    assert examine("task=captioning", "encoder=torchvision", "encoder.weights=DEFAULT")[1] == []
    encoder = TorchvisionFeatures(3, weights="DEFAULT")
    before = encoder.network[0].weight.clone()
    assert set(asked) == {None}
    encoder.load_pretrained()
    assert asked[-1] == "DEFAULT"
    assert not torch.equal(encoder.network[0].weight, before)
    with pytest.raises(DataError, match="the weights LOST of resnet18 could not be downloaded: no network"):
        TorchvisionFeatures(3, weights="LOST").load_pretrained()
