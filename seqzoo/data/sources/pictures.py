"""Pictures: from files of any kind to RGB of one size, and changed at random for training."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy
import safetensors
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.errors import DataError

# what Pillow logs of damaged files is told here in other words; with a handler, Python does not print it
logging.getLogger("PIL").addHandler(logging.NullHandler())

MOST_PIXELS = 50_000_000
"""Of a picture that is read: a larger one is a mistake, or meant to fill the memory."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""Those of photographs and drawings. Pillow has others that start programs (EPS) or go through old code."""


class Pictures(Protocol):
    """The pictures of one split, whether they are files or drawn."""

    def __len__(self) -> int: ...

    def gather(self, rows: list[int]) -> Tensor:
        """Row numbers -> (B, C, Y, X), 0 to 1."""


def read_picture(path: str | Path, size: int) -> Tensor:
    """(3, size, size) bytes: the middle square, turned as the camera was held. Grey, CMYK and palettes become RGB; what
    is transparent becomes white; of several frames the first is taken.

    Raises DataError for a file that is missing, damaged, not of FORMATS, or huge.
    """
    with _opened(path) as image:
        image.draft("RGB", (size, size))  # a JPEG is decoded no larger than need be
        whole = ImageOps.fit(_as_rgb(ImageOps.exif_transpose(image)), (size, size))
    return torch.from_numpy(numpy.array(whole)).permute(2, 0, 1)


def read_features(path: Path) -> Tensor:
    """(R, F) features of the regions of a picture, where PATH.npy or, below a folder that is a file, FILE.safetensors
    has them, or PATH itself, which ends with .npy; (F,) counts as one region.

    Raises DataError where there are none, and where they are not finite numbers of this shape.
    """
    file = feature_file(path)
    packed = file if file.suffix == ".safetensors" else None
    try:
        if packed is None:
            with file.open("rb") as opened:
                array = numpy.load(opened, allow_pickle=False)
            if array.dtype.kind not in "biuf":
                raise TypeError(f"it holds {array.dtype}, not numbers")
            with numpy.errstate(over="ignore"):
                features = torch.from_numpy(numpy.array(array, dtype=numpy.float32))
        else:
            name = path.relative_to(packed).as_posix()
            with safetensors.safe_open(packed, "pt") as tensors:
                if name not in tensors.keys():  # noqa: SIM118
                    raise DataError(f"{packed} has no features of {name}.")
                features = tensors.get_tensor(name)
            if features.is_complex():
                raise TypeError(f"it holds {features.dtype}, not real numbers")
    except FileNotFoundError:
        raise DataError(f"There is no {file}, for the features of {path.name}.") from None
    except DataError:
        raise
    except Exception as error:  # numpy's reader breaks in many ways
        raise DataError(f"{file} cannot be read as features of pictures ({str(error)[:100]}).") from None
    if features.dim() not in (1, 2) or not features.numel():
        size = " x ".join(map(str, features.shape)) or "a single number"
        raise DataError(f"{file} has features of {path.name} of another shape, {size}: give regions x features.")
    features = torch.atleast_2d(features).float()
    if not features.isfinite().all():
        region, place = (~features.isfinite()).nonzero()[0].tolist()
        value = features[region, place].item()
        raise DataError(f"{file}: feature {place} of region {region} of {path.name} is {value}, not a finite number.")
    return features


def feature_file(path: Path) -> Path:
    """The file that has the features of a picture, or of a tensor in a .safetensors file."""
    packed = next((parent for parent in path.parents if parent.suffix == ".safetensors"), None)
    if packed is not None:
        return packed
    return path if path.suffix == ".npy" else path.with_name(f"{path.name}.npy")


def given_features(path: Path, width: int) -> Tensor:
    """As `read_features`, for a model that reads so many of each region. Raises DataError for anything else."""
    try:
        found = read_features(path)
    except DataError as error:
        expected = "The model reads features of pictures, so give PICTURE.npy or FILE.safetensors/PICTURE"
        raise DataError(f"{expected}: {str(error)[0].lower()}{str(error)[1:]}") from None
    if found.shape[1] != width:
        size = " x ".join(map(str, found.shape))
        advice = ", as if it were transposed: give regions x features" if found.shape[0] == width else ""
        raise DataError(f"{path} has {size} features, and the model reads {width} of each region{advice}.")
    return found


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """A picture; what goes wrong with it, here and later, is told as DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about sizes and details that are seen to here
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except UnidentifiedImageError:
        raise DataError(f"{path} is not a picture of these formats: {', '.join(FORMATS)}. Convert it.") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path} has more than {MOST_PIXELS:,} pixels: scale it down.") from None
    except FileNotFoundError:
        raise DataError(f"There is no picture {path}.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: name a picture in it.") from None
    except Exception as error:  # each format breaks in its own ways
        raise DataError(
            f"{path} is damaged ({str(error)[:100] or type(error).__name__}): give a whole picture."
        ) from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        deep = numpy.asarray(image).astype(numpy.float32)
        image = Image.fromarray((deep / 257).round().astype(numpy.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def vary(pictures: Tensor, generator: torch.Generator, flip: float, crop: float, colour: float) -> Tensor:
    """(B, C, Y, X), 0 to 1 -> the same, each row changed at random: its left and right swapped with probability `flip`,
    up to the share `crop` of its rows and columns cut off, brightness, contrast and each channel up to `colour` off.
    """

    def drawn(*shape: int) -> Tensor:
        """From -1 to 1."""
        return 2 * torch.rand(shape, generator=generator) - 1

    rows, channels = pictures.shape[:2]
    seen = 1 - crop * torch.rand(rows, generator=generator)
    side = torch.where(torch.rand(rows, generator=generator) < flip, -1.0, 1.0)
    zero = torch.zeros(rows)
    right, down = (1 - seen) * drawn(rows), (1 - seen) * drawn(rows)
    window = torch.stack([torch.stack([side * seen, zero, right], 1), torch.stack([zero, seen, down], 1)], 1)
    if flip or crop:
        grid = F.affine_grid(window, list(pictures.shape), align_corners=False)
        pictures = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    if colour:
        mean = pictures.mean((1, 2, 3), keepdim=True)
        shift = drawn(rows, 1, 1, 1) + 0.5 * drawn(rows, channels, 1, 1)
        pictures = mean + (pictures - mean) * (1 + colour * drawn(rows, 1, 1, 1)) + 0.5 * colour * shift
    return pictures.clamp(0, 1)
