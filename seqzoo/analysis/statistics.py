"""Statistics over seeds: mean, standard deviation, bootstrap interval, and a test of paired differences."""

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
"""Maximum number of differences for which all 2**n signs are enumerated."""


class Summary(NamedTuple):
    """Summary of a sample.

    Attributes:
        mean: the mean.
        sd: the standard deviation (n - 1); NaN for a single value.
        low, high: the bootstrap interval of the mean; NaN for a single value.
        size: n, number of values.
    """

    mean: float
    sd: float
    low: float
    high: float
    size: int


def summarize(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and the 95 % percentile bootstrap interval of the mean.

    The interval is within the range of the values; with three values it is that range. Resampling is deterministic.

    Args:
        values: the sample.

    Source: Efron, Bootstrap Methods, 1979, https://doi.org/10.1214/aos/1176344552
    """
    array = numpy.asarray(values, dtype=float)
    if array.size == 0:
        return Summary(math.nan, math.nan, math.nan, math.nan, 0)
    if array.size == 1 or not numpy.isfinite(array).all():
        return Summary(float(array.mean()), math.nan, math.nan, math.nan, array.size)
    low, high = numpy.quantile(array[_draws(array.size)].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Summary(float(array.mean()), float(array.std(ddof=1)), float(low), float(high), array.size)


def sign_flip_p(differences: Sequence[float]) -> float:
    """The p-value of the two-sided paired permutation test: the probability of a mean at least as far from 0 if each
    difference had a random sign.

    It is exact for up to EXACT differences, and estimated with random signs for more. For n differences it is at least
    2 / 2**n, so that five seeds never reach 0.05.

    Args:
        differences: of pairs.

    Source: Fisher, The Design of Experiments, 1935
    """
    array = numpy.asarray(differences, dtype=float)
    if array.size == 0 or not numpy.isfinite(array).all():
        return math.nan
    sums = numpy.abs(_signs(array.size) @ array)
    # a tolerance, because the order of summation changes the last bits
    return float((sums >= abs(array.sum()) * (1 - 1e-9)).mean())


@functools.cache
def _draws(size: int) -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(size, size=(RESAMPLES, size))


@functools.cache
def _signs(size: int) -> numpy.ndarray:
    if size <= EXACT:
        return numpy.array(list(itertools.product((1.0, -1.0), repeat=size)))
    signs = numpy.random.default_rng(0).choice((1.0, -1.0), size=(RESAMPLES, size))
    signs[0] = 1.0  # the observed signs are included, so that p is never 0
    return signs


def seeds_needed(level: float = 1 - LEVEL) -> int:
    """The minimum number of pairs for which the p-value can reach `level`."""
    return math.ceil(math.log2(2 / level))
