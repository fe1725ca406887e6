"""Series from arrays of NumPy."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.packed import read_bytes
from seqzoo.data.sources.series_content import Numbers, Series, SeriesFile


def read_array(path: str, numbers: Numbers, labelled: bool, whole: bool = False) -> SeriesFile:
    """The arrays x, (N, T) or (N, T, C), and y, (N,) or (N, T), of an `.npz` file; unlabelled also that of `.npy`.
    If `whole`, x is one series, (T,) or (T, C), or (N, T, C).
    """
    try:
        content = numpy.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
        named_arrays = dict(content) if isinstance(content, numpy.lib.npyio.NpzFile) else {"x": content}
        if "x" not in named_arrays or (labelled and "y" not in named_arrays):
            needed = "the series as x and the labels as y" if labelled else "the series as x"
            raise DataError(f"{path} has the arrays {', '.join(named_arrays)}: give an .npz file with {needed}")
        values = named_arrays["x"].astype(numpy.float64)
        labels = named_arrays["y"].astype(str) if "y" in named_arrays else None
    except DataError:
        raise
    except Exception as error:  # what NumPy raises for damaged files has no common base class
        raise DataError(
            f"{path} is not an array of numbers that can be read ({str(error)[:80]}): save one by numpy.savez"
        ) from None
    if whole and values.size and values.ndim in (1, 2):
        values = values.reshape(1, len(values), -1)
    elif values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not values.size:
        raise DataError(
            f"{path}: x has the shape {named_arrays['x'].shape}, expected (series, steps) or (series, steps, channels)"
        )
    if labels is not None and labels.shape not in (values.shape[:1], values.shape[:2]):
        raise DataError(
            f"{path}: y has the shape {labels.shape}, expected {values.shape[:1]}, a label for each series, or "
            f"{values.shape[:2]}, one for each step"
        )
    _, steps, channels = values.shape

    def named(i: int) -> str:
        series, step, channel = i // (steps * channels), i // channels % steps, i % channels
        return f"{path}: x[{series}, {step}, {channel}]"

    flat = values.reshape(-1)
    replace(numbers, if_nan="write another number").checked(flat, numpy.ones(len(flat), dtype=bool), named)
    series = [
        Series(
            torch.from_numpy(values[i].copy()),
            None if labels is None else labels[i].tolist(),
            None,
            f"{path}: series {i}",
        )
        for i in range(len(values))
    ]
    return SeriesFile(series, [f"channel {i}" for i in range(1, channels + 1)], [], False, "array")
