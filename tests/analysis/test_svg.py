"""SVG plots: scales, ticks and Pareto fronts."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree

import pytest

from seqzoo.analysis.svg import Dot, Line, Plot, pareto_front, short


def test_the_pareto_front() -> None:
    points = [(3, 0.9), (1, 0.5), (2, 0.4), (2, 0.7), (4, 0.9), (5, 0.95), (math.nan, 1.0)]
    assert pareto_front(points, True) == [(1, 0.5), (2, 0.7), (3, 0.9), (5, 0.95)]
    assert pareto_front([(1, 5.0), (2, 6.0), (3, 4.0)], False) == [(1, 5.0), (3, 4.0)]
    assert pareto_front([(1, 6.0), (1, 5.0)], False) == [(1, 5.0)]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_larger_values_lie_to_the_right_and_above(logarithmic: bool) -> None:
    dots = [Dot(str(n), "red", 10.0**n, float(n), n - 0.1, n + 0.1, False) for n in range(1, 5)]
    root = ElementTree.fromstring(Plot("t", "x", "y", [], dots, [], logarithmic).svg())
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.findall(".//circle")]
    assert places == sorted(places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    gaps = [right - left for (left, _), (right, _) in itertools.pairwise(places)]
    assert (max(gaps) - min(gaps) < 0.2) is logarithmic


def test_ticks_are_round_and_inside() -> None:
    root = ElementTree.fromstring(Plot("t", "x", "y", [Line("a", "red", [(0, 0, 0, 0), (97, 1, 0.5, 1.5)])]).svg())
    ticks = [text.text for text in root.findall("text[@class='tick']")]
    assert ticks == ["0", "20", "40", "60", "80", "100", "0", "0.5", "1", "1.5"]


def test_plots_of_one_point_none_and_nan() -> None:
    alone = Plot("t", "x", "y", [], [Dot("a", "red", 5.0, 0.0, math.nan, math.nan, True)]).svg()
    assert len(ElementTree.fromstring(alone).findall(".//circle")) == 1
    assert "nothing was measured" in Plot("t", "x", "y").svg()
    one = Plot("t", "x", "y", [Line("a", "red", [(1, 1, 0, 2)])]).svg()
    assert len(ElementTree.fromstring(one).findall(".//circle")) == 1
    holes = Line("a", "red", [(1, math.nan, 0, 0), (2, 1, 1, 1), (3, 2, 2, 2)])
    assert "nan" not in Plot("t", "x", "y", [holes]).svg()


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_a_long_name_ends_inside_the_plot(x: float) -> None:
    dots = [
        Dot("n" * 200, "red", x, 0.0, math.nan, math.nan, True),
        Dot("b", "red", 1 - x, 1.0, math.nan, math.nan, True),
    ]
    names = ElementTree.fromstring(Plot("t", "x", "y", [], dots).svg()).findall(".//text[@class='name']")
    long, short_one = (name.text or "" for name in names)
    assert long.endswith("n…")
    assert 40 < len(long) < 70
    assert short_one == "b"


def test_an_axis_of_scores_begins_at_zero() -> None:
    zero = Dot("a", "red", 3.0, 0.0, 0.0, 0.0, False)
    for highest, ticks in (
        (0.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.002, ["0", "0.0005", "0.001", "0.0015", "0.002"]),
    ):
        top = Dot("b", "red", 4.0, highest, highest, highest, False)
        root = ElementTree.fromstring(Plot("t", "x", "y", [], [zero, top]).svg())
        shown = [text.text for text in root.findall("text[@class='tick']") if text.get("text-anchor") == "end"]
        assert shown == ticks


def test_numbers_in_short() -> None:
    assert [short(value) for value in (0, 0.25, 999, 12_000, 3_400_000)] == ["0", "0.25", "999", "12k", "3.4M"]
