"""Pictures of every kind come out as RGB, and those that are none are told in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.pictures import MOST_PIXELS, read_features, read_picture, vary

GREY = 100


def shades(mode: str) -> Image.Image:
    return Image.new("L", (20, 10), GREY).convert(mode)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (numpy.zeros((2, 3), complex), r"holds complex128, not numbers"),
        (numpy.array([["a"]]), r"holds <U1, not numbers"),
        (numpy.zeros((2, 3, 4)), r"of another shape, 2 x 3 x 4: give regions x features"),
        (numpy.zeros(()), r"of another shape, a single number"),
        (numpy.zeros((0, 3)), r"of another shape, 0 x 3"),
        (numpy.array([[1.0, 2], [numpy.inf, 1]]), r"feature 0 of region 1 of a.npy is inf, not a finite number"),
        (numpy.array([1.0, 1e300]), r"feature 1 of region 0 of a.npy is inf"),
    ],
)
def test_features_are_finite_numbers_of_regions(values: numpy.ndarray, told: str, tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=told):
        read_features(tmp_path / "a.npy")


def test_features_of_any_kind_of_number(tmp_path: Path) -> None:
    for kind in (">f8", "<f2", "i1", "u4", "?"):
        numpy.save(tmp_path / "a.npy", numpy.array([0, 1], kind))
        assert read_features(tmp_path / "a.npy").tolist() == [[0.0, 1.0]]


def test_damaged_features_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    numpy.save(path, numpy.ones((2, 3)))
    whole = path.read_bytes()
    larger = whole.replace(b"(2, 3)", b"(9999999, 9999999)").replace(b" " * 13, b"", 1)
    for damaged in (
        whole[:-9],
        whole[:20],
        b"",
        larger,
        whole.replace(b"(2, 3)", b"(2, -3"),
        b"\x93NUMPY\x01\x00\xff\xff",
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a.npy cannot be read as features of pictures"):
            read_features(path)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", shades("L"), (GREY, GREY, GREY)),
        ("bits.png", Image.new("1", (20, 10), 1), (255, 255, 255)),
        ("deep.png", Image.fromarray(numpy.full((10, 20), 257 * GREY, numpy.uint16)), (GREY, GREY, GREY)),
        ("cmyk.jpg", Image.new("CMYK", (20, 10), (0, 255, 255, 0)), (255, 0, 0)),
        ("clear.png", Image.new("RGBA", (20, 10), (255, 0, 0, 0)), (255, 255, 255)),
        ("half.png", Image.new("LA", (20, 10), (0, 127)), (128, 128, 128)),
        ("palette.gif", shades("P"), (GREY, GREY, GREY)),
        ("colour.jpg", Image.new("RGB", (20, 10), (10, 200, 30)), (10, 200, 30)),
    ],
)
def test_every_kind_becomes_rgb(name: str, image: Image.Image, expected: tuple, tmp_path: Path) -> None:
    image.save(tmp_path / name)
    found = read_picture(tmp_path / name, 8)
    assert found.shape == (3, 8, 8)
    assert found.dtype == torch.uint8
    assert (found.long() - torch.tensor(expected)[:, None, None]).abs().max() <= 3


def test_the_middle_square_is_taken_as_the_camera_was_held(tmp_path: Path) -> None:
    pixels = numpy.zeros((4, 8, 3), numpy.uint8)
    pixels[:, 2:6] = 255  # the middle
    pixels[0, 2] = 0  # upper left of it
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", 4)
    assert found[0, 0, 0] == 0
    assert (found == 255).sum() == 3 * 15
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "b.png", exif=exif)
    assert torch.equal(read_picture(tmp_path / "b.png", 4), found.rot90(-1, (1, 2)))


def huge(path: Path) -> None:
    """Only its header is: the pixels are never written."""
    Image.new("1", (1, 1)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (10_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def cut(path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-900])


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.jpg", lambda path: None, "there is no picture .*none.jpg"),
        (
            "text.jpg",
            lambda path: path.write_text("no picture"),
            "text.jpg is not a picture in one of the formats JPEG, PNG",
        ),
        ("empty.png", lambda path: path.write_bytes(b""), "empty.png is not a picture in one of the formats"),
        (
            "eps.jpg",
            lambda path: Image.new("RGB", (8, 8)).save(path, "EPS"),
            "eps.jpg is not a picture in one of the formats",
        ),
        ("cut.jpg", cut, "cut.jpg is damaged"),
        ("cut.png", cut, "cut.png is damaged"),
        ("huge.png", huge, f"huge.png has more than {MOST_PIXELS:,} pixels: scale it down"),
        ("folder.png", Path.mkdir, "folder.png is a folder: give a picture in it"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, write: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(DataError, match=message):
        read_picture(tmp_path / name, 8)


def test_pictures_vary_as_far_as_they_may() -> None:
    pictures = torch.rand(40, 3, 8, 8)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(vary(pictures, generator, 0, 0, 0), pictures)
    mirrored = vary(pictures, generator, 1, 0, 0)
    torch.testing.assert_close(mirrored, pictures.flip(3))
    sometimes = vary(pictures, generator, 0.5, 0, 0)
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(sometimes, pictures, strict=True)]
    assert 8 < sum(same) < 32
    # a crop is a piece of the picture: brightness that rises to the right goes on rising, less steeply
    ramp = torch.linspace(0, 1, 16).expand(40, 1, 16, 16)
    cropped = vary(ramp, generator, 0, 0.5, 0)
    assert (cropped.diff(dim=3) >= -1e-6).all()
    slopes = cropped[:, 0, 0, 12] - cropped[:, 0, 0, 3]
    assert ((slopes > 0.45 * 9 / 15) & (slopes < 1.01 * 9 / 15)).all()
    assert slopes.min() < 0.7 * slopes.max()
    coloured = vary(pictures, generator, 0, 0, 0.2)
    assert 0.02 < (coloured - pictures).abs().max() < 0.5
    assert coloured.min() >= 0
    assert coloured.max() <= 1
