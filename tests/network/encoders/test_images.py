"""Pictures become vectors of their regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from seqzoo.contracts.cache import user_cache
from seqzoo.network.encoders.imagenet import EfficientNetLite0, load_efficientnet
from seqzoo.network.encoders.images import ImageCNN, ImageNetFeatures


def test_regions_are_in_row_order_and_know_their_positions() -> None:
    encoder = ImageCNN(3, channels=[8], blocks=[0]).eval()
    pictures = torch.zeros(1, 3, 8, 12)
    plain = encoder(pictures)
    assert plain.shape == (1, 4 * 6, 8 + 2)
    torch.testing.assert_close(plain[0, 7], torch.tensor([*plain[0, 8, :8].tolist(), -1 / 3, -3 / 5]))
    pictures[:, :, 0, 10:12] = 1  # upper right
    changed = (encoder(pictures) - plain).abs().sum(2)[0]
    assert changed.nonzero().tolist() == [[5]]


def test_pixels_know_their_positions() -> None:
    encoder = ImageCNN(3, channels=[8], blocks=[0], places="pixels").eval()
    found = encoder(torch.zeros(1, 3, 8, 12))
    assert found.shape == (1, 4 * 6, 8)
    assert not torch.allclose(found[0, 8], found[0, 15])


def test_a_frame_is_the_mean_of_its_regions() -> None:
    encoder = ImageCNN(1, channels=[4], blocks=[0]).eval()
    clip = torch.rand(2, 3, 1, 8, 8)
    torch.testing.assert_close(encoder(clip)[:, 1], encoder(clip[:, 1]).mean(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [], "blocks": []}, "channels is \\[\\]"),
        ({"channels": [4, 0], "blocks": [0, 0]}, "channels is \\[4, 0\\]"),
        ({"channels": [4, 8], "blocks": [1]}, "blocks is \\[1\\]: give a number for each of the 2 channels"),
    ],
)
def test_impossible_sizes_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageCNN(3, **options)
    with pytest.raises(ValueError, match="3 channels, and these have 1"):
        ImageNetFeatures(1)


def test_imagenet_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    user_cache.cache_clear()
    encoder = ImageNetFeatures(3)
    pictures = torch.rand(2, 3, 64, 32)
    found = encoder(pictures)
    assert found.shape == (2, 2, 1280)
    files = list((tmp_path / "seqzoo" / "imagenet_features").iterdir())
    assert sorted({file.suffix for file in files}) == [".npy"]
    assert len(files) == 2
    encoder._network[:] = [nn.Identity()]  # would give something else
    assert torch.equal(encoder(pictures), found)
    assert torch.equal(ImageNetFeatures(3)(pictures[1:]), found[1:])
    assert list(encoder.parameters()) == []
    user_cache.cache_clear()


def test_the_network_is_that_of_the_weights() -> None:
    """Padding as in TensorFlow: shifting the input by a pixel shifts feature maps of stride 1 by a pixel."""
    network = load_efficientnet()
    assert sum(parameter.numel() for parameter in EfficientNetLite0().parameters()) == 4_652_008
    assert network(torch.zeros(1, 3, 65, 40)).shape == (1, 1280, 3, 2)
    assert network._conv_stem(torch.zeros(1, 3, 7, 6)).shape == (1, 32, 4, 3)


def test_it_knows_dogs(real_data_root: Path) -> None:
    """ImageNet's classes 151 to 268 are dogs."""
    from seqzoo.data.sources.pictures import read_picture

    names = ["1002674143_1b742ab4b8", "1009434119_febe49276a"]  # a girl, a dog
    files = [real_data_root / "flickr8k" / "images" / f"{name}.jpg" for name in names]
    pictures = torch.stack([read_picture(file, 128) for file in files]) / 255
    girl, dog = load_efficientnet().classify(pictures).softmax(-1)[:, 151:269].sum(1)
    assert girl < 0.1
    assert dog > 0.8
