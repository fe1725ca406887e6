"""Reading pictures as RGB of one size, reading features of pictures, and random augmentation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy
import safetensors
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.errors import DataError

# errors in damaged files are raised as DataError; without a handler, Python would also print what Pillow logs
logging.getLogger("PIL").addHandler(logging.NullHandler())

MOST_PIXELS = 50_000_000
"""Maximum size of a picture file, against decompression bombs."""
MOST_COLUMNS = 20_000
"""Maximum width of a line of text, at the height that a model reads."""
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The accepted formats. Pillow has others that start programs (EPS) or are rarely tested."""


class Pictures(Protocol):
    """The pictures of one split, whether they are files or drawn."""

    def __len__(self) -> int: ...

    def gather(self, rows: list[int]) -> Tensor:
        """The pictures of some rows, (B, C, Y, X), 0 to 1."""
        ...


def read_picture(path: str | Path, size: int) -> Tensor:
    """Read a picture: its central square, rotated by its Exif orientation, in RGB on white. Of several frames the first
    is read.

    Args:
        path: of the file.
        size: height and width to scale to.

    Returns:
        (3, size, size), bytes.

    Raises:
        DataError: the file is missing, damaged, too large, or not one of FORMATS.
    """
    with _opened(path) as image:
        image.draft("RGB", (size, size))  # decode a JPEG at a reduced size where possible
        whole = ImageOps.fit(_as_rgb(ImageOps.exif_transpose(image)), (size, size))
    return torch.from_numpy(numpy.array(whole)).permute(2, 0, 1)


def read_line(path: str | Path, height: int) -> Tensor:
    """Read a picture of a line of text, in grey, and negative if it is on white.

    Args:
        path: of the file.
        height: number of rows to scale to; the number of columns follows from it.

    Returns:
        (1, height, X), bytes.

    Raises:
        DataError: as `read_picture`, or the line is longer than MOST_COLUMNS.
    """
    with _opened(path) as image:
        grey = _as_rgb(ImageOps.exif_transpose(image)).convert("L")
        columns = max(1, round(grey.width * height / grey.height))
        if columns > MOST_COLUMNS:
            raise DataError(f"{path} has {columns:,} columns at a height of {height}: cut it into lines of text")
        line = torch.from_numpy(numpy.array(grey.resize((columns, height))))
    return (255 - line if line.float().mean() > 127 else line)[None]


def read_features(path: Path) -> Tensor:
    """Read the features of the regions of a picture.

    Args:
        path: PICTURE, whose features are in PICTURE.npy; a .npy file; or FILE.safetensors/NAME for a tensor of a
            .safetensors file.

    Returns:
        (R, F); features (F,) are those of one region.

    Raises:
        DataError: there are no features, or they have another shape or are not finite numbers.
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
                    raise DataError(f"{packed} has no features of {name}")
                features = tensors.get_tensor(name)
            if features.is_complex():
                raise TypeError(f"it holds {features.dtype}, not real numbers")
    except FileNotFoundError:
        raise DataError(f"there is no {file}, for the features of {path.name}") from None
    except DataError:
        raise
    except Exception as error:  # numpy raises many kinds of exceptions for damaged files
        raise DataError(f"{file} cannot be read as features of pictures ({str(error)[:100]})") from None
    if features.dim() not in (1, 2) or not features.numel():
        size = " x ".join(map(str, features.shape)) or "a single number"
        raise DataError(f"{file} has features of {path.name} of another shape, {size}: give regions x features")
    features = torch.atleast_2d(features).float()
    if not features.isfinite().all():
        region, place = (~features.isfinite()).nonzero()[0].tolist()
        value = features[region, place].item()
        raise DataError(f"{file}: feature {place} of region {region} of {path.name} is {value}, not a finite number")
    return features


def feature_file(path: Path) -> Path:
    """The file with the features of a picture, see `read_features`."""
    packed = next((parent for parent in path.parents if parent.suffix == ".safetensors"), None)
    if packed is not None:
        return packed
    return path if path.suffix == ".npy" else path.with_name(f"{path.name}.npy")


def given_features(path: Path, width: int) -> Tensor:
    """Features that a user gives for a prediction.

    Args:
        path: as of `read_features`.
        width: F, of the model.

    Raises:
        DataError: as `read_features`, or the regions have another number of features.
    """
    try:
        features = read_features(path)
    except DataError as error:
        expected = "the model reads features of pictures, so give PICTURE.npy or FILE.safetensors/PICTURE"
        raise DataError(f"{expected}: {error}") from None
    if features.shape[1] != width:
        size = " x ".join(map(str, features.shape))
        advice = (
            f". Its first size is {width}: transpose it to regions x features" if features.shape[0] == width else ""
        )
        raise DataError(f"{path} has {size} features, but the model reads {width} per region{advice}")
    return features


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open a picture. Errors, also while it is decoded, are raised as DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about sizes and metadata
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except UnidentifiedImageError:
        raise DataError(f"{path} is not a picture in one of the formats {', '.join(FORMATS)}: convert it") from None
    except Image.DecompressionBombError:
        raise DataError(f"{path} has more than {MOST_PIXELS:,} pixels: scale it down") from None
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"there is no picture {path}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: give a picture in it") from None
    except Exception as error:  # each format has its own exceptions
        raise DataError(
            f"{path} is damaged ({str(error)[:100] or type(error).__name__}): give a complete picture"
        ) from None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        deep = numpy.asarray(image).astype(numpy.float32)
        image = Image.fromarray((deep / 257).round().astype(numpy.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def lines_of_text(lines: Sequence[Tensor]) -> Batch:
    """Lines (1, Y, X) of different widths as a batch without targets, padded with zeros on the right."""
    widths = [line.shape[2] for line in lines]
    pictures = torch.stack([F.pad(line, (0, max(widths) - width)) for line, width in zip(lines, widths, strict=True)])
    grid = torch.tensor([line.shape[1:] for line in lines])
    return Batch(pictures, grid.prod(1), padded=min(widths) < max(widths), grid=grid)


def vary(pictures: Tensor, generator: torch.Generator, flip: float, crop: float, colour: float) -> Tensor:
    """Augment pictures at random, each row by itself.

    Args:
        pictures: (B, C, Y, X), 0 to 1.
        generator: of random numbers.
        flip: probability of a horizontal flip.
        crop: maximum share of rows and columns that is cropped before scaling back.
        colour: maximum change of brightness, contrast and the channels, as a share.

    Returns:
        (B, C, Y, X), 0 to 1.
    """

    def drawn(*shape: int) -> Tensor:
        """Uniform random numbers from -1 to 1."""
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
