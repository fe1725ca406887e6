"""Intervals and significance tests for few seeds, against values computed by hand and from textbooks."""

from __future__ import annotations

import math
from itertools import product

import numpy
import pytest

from seqzoo.analysis.statistics import EXACT, seeds_needed, sign_flip_p, summarize


def test_mean_and_deviation_by_hand() -> None:
    found = summarize([1.0, 2.0, 4.0, 5.0])
    assert (found.mean, found.size) == (3.0, 4)
    assert found.sd == pytest.approx(math.sqrt(10 / 3))


def test_the_interval_of_three_seeds_is_their_range() -> None:
    """All draws of the lowest alone have a probability of 1/27, above 0.025."""
    assert summarize([0.3, 0.1, 0.2])[2:4] == pytest.approx((0.1, 0.3))


def test_the_interval_agrees_with_all_resamples() -> None:
    values = [0.1, 0.2, 0.4, 0.45, 0.7]
    means = [numpy.mean(draw) for draw in product(values, repeat=5)]
    found = summarize(values)
    assert [found.low, found.high] == pytest.approx(numpy.quantile(means, [0.025, 0.975]), abs=0.01)
    assert found == summarize(values)


def test_one_value_has_no_spread() -> None:
    found = summarize([0.5])
    assert (found.mean, found.size) == (0.5, 1)
    assert all(map(math.isnan, (found.sd, found.low, found.high)))
    assert summarize([]).size == 0
    assert math.isnan(summarize([1.0, math.nan]).mean)


@pytest.mark.parametrize("count", [1, 3, 5, 6, 10])
def test_differences_of_one_sign_have_the_smallest_p_value(count: int) -> None:
    assert sign_flip_p([0.1 + n for n in range(count)]) == 2 / 2**count


def test_seeds_that_the_test_needs() -> None:
    assert seeds_needed(0.05) == 6
    assert 2 / 2**6 < 0.05 < 2 / 2**5


def test_fisher_on_darwins_maize() -> None:
    """Fisher (1935, section 21): 1726 of the 2**15 patterns of signs sum to at least the observed 314 in size."""
    eighths = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sum(eighths) == 314
    assert sign_flip_p(eighths) == 1726 / 2**15


def test_many_differences_are_drawn_and_near_the_normal_limit() -> None:
    rng = numpy.random.default_rng(3)
    values = rng.normal(0.35, 1, EXACT + 24)
    z = abs(values.sum()) / math.sqrt((values**2).sum())
    assert sign_flip_p(values) == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.02)


def test_equal_values_are_not_significant() -> None:
    assert math.isnan(sign_flip_p([]))
    assert sign_flip_p([0.0, 0.0, 0.0]) == 1.0
