"""What a few seeds can say: mean, spread, bootstrap interval, and a test of paired differences."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy

LEVEL = 0.95
RESAMPLES = 10_000
EXACT = 16
"""Differences up to which all signs are tried; 2**EXACT of them."""


class Summary(NamedTuple):
    """sd: of a sample (n - 1); low, high: the bootstrap interval of the mean; all nan for one value. size: values."""

    mean: float
    sd: float
    low: float
    high: float
    size: int


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and the percentile bootstrap interval of the mean (Efron, Bootstrap Methods, 1979,
    https://doi.org/10.1214/aos/1176344552), at 95 %. The draws are the same each time.

    The interval cannot leave the values there are: with three seeds it is their range.
    """
    array = numpy.asarray(values, dtype=float)
    if array.size == 0:
        return Summary(math.nan, math.nan, math.nan, math.nan, 0)
    if array.size == 1 or not numpy.isfinite(array).all():
        return Summary(float(array.mean()), math.nan, math.nan, math.nan, array.size)
    low, high = numpy.quantile(array[_draws(array.size)].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Summary(float(array.mean()), float(array.std(ddof=1)), float(low), float(high), array.size)


def sign_flip_p(differences: Sequence[float]) -> float:
    """How often a mean at least as far from 0 comes up when each difference could as well have the other sign: the
    exact two-sided paired permutation test (Fisher, The Design of Experiments, 1935). Beyond EXACT differences the
    signs are drawn.

    It cannot be below 2 / 2**n for n differences, so that five seeds never reach 0.05.
    """
    array = numpy.asarray(differences, dtype=float)
    if array.size == 0 or not numpy.isfinite(array).all():
        return math.nan
    sums = numpy.abs(_signs(array.size) @ array)
    # sums in another order differ in the last bits
    return float((sums >= abs(array.sum()) * (1 - 1e-9)).mean())


@functools.cache
def _draws(size: int) -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(size, size=(RESAMPLES, size))


@functools.cache
def _signs(size: int) -> numpy.ndarray:
    if size <= EXACT:
        return numpy.array(list(itertools.product((1.0, -1.0), repeat=size)))
    signs = numpy.random.default_rng(0).choice((1.0, -1.0), size=(RESAMPLES, size))
    signs[0] = 1.0  # what was seen is one of the draws, so that p is never 0
    return signs


def seeds_needed(level: float = 1 - LEVEL) -> int:
    """Paired differences from which on the test can fall to `level`."""
    return math.ceil(math.log2(2 / level))
