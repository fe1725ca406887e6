"""Plots as SVG text, to be embedded in HTML pages or saved as files, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 28, 44
LETTER = 6.5  # mean width of a letter in labels, in pixels
# distinguishable by colour-blind readers: Okabe & Ito, Color Universal Design, 2008
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d00", "#7f7fff")
BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], "#9a9a9a"
STYLE = """
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .title { font-size: 13px; font-weight: 600; }
svg .tick { fill: var(--soft); } svg .grid { stroke: var(--line); stroke-width: 0.7; }
svg .front { fill: none; stroke: var(--soft); stroke-dasharray: 4 3; }
"""
"""For pages that define the colours --ink, --soft and --line."""


@dataclass
class Line:
    """A curve with a band around it.

    Args:
        label: shown as a tooltip.
        colour: of the curve.
        points: (x, y, low, high), from left to right.
    """

    label: str
    colour: str
    points: list[tuple[float, float, float, float]]


@dataclass
class Dot:
    """A point with an interval.

    Args:
        label: shown as a tooltip.
        colour: of the point.
        x, y: the point.
        low, high: limits of the vertical interval; NaN: none.
        named: also write the label next to the point.
    """

    label: str
    colour: str
    x: float
    y: float
    low: float
    high: float
    named: bool


@dataclass
class Plot:
    """Curves and points over two axes.

    Args:
        title: above the plot.
        x_label, y_label: of the axes.
        lines: curves.
        dots: points.
        front: points of a Pareto front, drawn as a step function.
        logarithmic: whether the x axis is logarithmic.
    """

    title: str
    x_label: str
    y_label: str
    lines: list[Line] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    front: list[tuple[float, float]] = field(default_factory=list)
    logarithmic: bool = False

    def svg(self) -> str:
        """The plot as an <svg> element."""
        xs = [x for line in self.lines for x, *_ in line.points] + [dot.x for dot in self.dots]
        ys = [y for line in self.lines for _, *values in line.points for y in values]
        ys += [y for dot in self.dots for y in (dot.y, dot.low, dot.high)]
        xs, ys = [x for x in xs if math.isfinite(x)], [y for y in ys if math.isfinite(y)]
        head = (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f'<text class="title" x="{LEFT}" y="16">{escape(self.title)}</text>'
        )
        if not xs or not ys:
            return f'{head}<text x="{LEFT}" y="{HEIGHT / 2}">nothing was measured</text></svg>'
        self._x = Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT, self.logarithmic and min(xs) > 0)
        self._y = Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP, False)
        parts = [head, *self._axes(), *map(self._line, self.lines), *self._step_line(), *map(self._dot, self.dots)]
        return "".join(parts) + "</svg>"

    def _axes(self) -> Iterable[str]:
        bottom = HEIGHT - BOTTOM
        for value, text in self._x.ticks():
            x = self._x.at(value)
            yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{text}</text>'
        for value, text in self._y.ticks():
            y = self._y.at(value)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            yield f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        below = f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}"'
        yield f'<text {below} text-anchor="middle">{escape(self.x_label)}</text>'
        beside = f'transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)"'
        yield f'<text {beside} text-anchor="middle">{escape(self.y_label)}</text>'

    def _line(self, line: Line) -> str:
        points = [
            (self._x.at(x), *(self._y.at(y) for y in values))
            for x, *values in line.points
            if all(map(math.isfinite, (x, *values)))
        ]
        if not points:
            return ""
        if len(points) == 1:  # a path of one point is invisible
            [(x, y, low, high)] = points
            bar = f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{line.colour}"/>'
            dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}"/>'
            return f"<g><title>{escape(line.label)}</title>{bar}{dot}</g>"
        middle = "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in points)
        edge = [(x, high) for x, _, _, high in points] + [(x, low) for x, _, low, _ in reversed(points)]
        band = "L".join(f"{x:.1f} {y:.1f}" for x, y in edge)
        return (
            f'<g><title>{escape(line.label)}</title><path d="M{band}Z" fill="{line.colour}" opacity="0.18"/>'
            f'<path d="M{middle}" fill="none" stroke="{line.colour}" stroke-width="1.8"/></g>'
        )

    def _step_line(self) -> Iterable[str]:
        if len(self.front) > 1:
            places = [(self._x.at(x), self._y.at(y)) for x, y in self.front]
            steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
            yield f'<path class="front" d="M{places[0][0]:.1f} {places[0][1]:.1f}{steps}"/>'

    def _dot(self, dot: Dot) -> str:
        if not (math.isfinite(dot.x) and math.isfinite(dot.y)):
            return ""
        x, y = self._x.at(dot.x), self._y.at(dot.y)
        text = f"{dot.label}: {dot.y:.4g} at {short(dot.x)}"
        bar = ""
        if math.isfinite(dot.low) and math.isfinite(dot.high):
            bar = f'<path d="M{x:.1f} {self._y.at(dot.low):.1f}V{self._y.at(dot.high):.1f}" stroke="{dot.colour}"/>'
        # labels of points in the right half are to their left, so that they stay inside the plot
        left = x > (LEFT + WIDTH) / 2
        anchor, away = ("end", -7) if left else ("start", 7)
        place = f'x="{x + away:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}"'
        room = (x if left else WIDTH - x) - abs(away)
        label = _fitted(dot.label, int(room / LETTER))
        name = f'<text class="name" {place}>{escape(label)}</text>' if dot.named else ""
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{dot.colour}"/>'
        return f"<g><title>{escape(text)}</title>{bar}{circle}{name}</g>"


def _fitted(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def document(width: float, height: float, body: str) -> str:
    """A complete SVG file with a white background."""
    style = STYLE
    # some SVG viewers do not support CSS variables
    for name, colour in (("ink", "#222"), ("soft", "#666"), ("line", "#ddd")):
        style = style.replace(f"var(--{name})", colour)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


class Axis:
    """Maps values to pixels, with a margin at both ends; an axis of non-negative values starts at 0 or above.

    Args:
        low, high: range of the values.
        begin, end: range of the pixels.
        logarithmic: use a logarithmic scale.
    """

    def __init__(self, low: float, high: float, begin: float, end: float, logarithmic: bool):
        self._logarithmic = logarithmic
        low, high = self._scaled(low), self._scaled(high)
        if low == high == 0 and not logarithmic:
            high = 1.0  # most scores lie between 0 and 1
        room = 0.05 * (high - low) or abs(low) * 0.05 or 0.5
        self._low = low - room if logarithmic or low < 0 else max(low - room, 0.0)
        self._high, self._begin, self._end = high + room, begin, end

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value

    def at(self, value: float) -> float:
        share = (self._scaled(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[tuple[float, str]]:
        """Three to six round values with their labels."""
        if self._logarithmic:
            powers = range(math.floor(self._low), math.ceil(self._high) + 1)
            values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            values = [value for value in values if self._low <= math.log10(value) <= self._high]
            values = values[:: math.ceil(len(values) / 6) or 1]
            if len(values) > 1:
                return [(value, short(value)) for value in values]
            low, high = 10**self._low, 10**self._high
        else:
            low, high = self._low, self._high
        rough = (high - low) / 6
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        first = math.ceil(low / step)
        return [(step * n, short(step * n)) for n in range(first, math.floor(high / step) + 1)]


def short(value: float) -> str:
    """A number with a unit prefix: 12000 as 12k."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"


def pareto_front(points: Sequence[tuple[float, float]], higher_is_better: bool) -> list[tuple[float, float]]:
    """The Pareto front of (cost, score) points: no other point is both cheaper and better. Sorted by cost."""
    front: list[tuple[float, float]] = []
    sign = 1 if higher_is_better else -1
    finite = [point for point in points if all(map(math.isfinite, point))]
    for x, y in sorted(finite, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * y > sign * front[-1][1]:
            front.append((x, y))
    return front
