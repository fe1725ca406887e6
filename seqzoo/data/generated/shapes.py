"""Captions of drawn pictures of coloured shapes.

Source: after Johnson et al., CLEVR: A Diagnostic Dataset for Compositional Language and Elementary Visual Reasoning,
2017 (with held-out combinations of colour and shape), https://arxiv.org/abs/1612.06890
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seqzoo.data.captions import CaptionData, Captioned
from seqzoo.data.splits import GENERATION_SEED, SPLITS

COLOURS = {
    "red": (0.88, 0.16, 0.16),
    "green": (0.18, 0.66, 0.24),
    "blue": (0.18, 0.32, 0.92),
    "yellow": (0.95, 0.88, 0.20),
    "pink": (0.97, 0.55, 0.74),
    "purple": (0.58, 0.22, 0.74),
    "cyan": (0.30, 0.82, 0.86),
    "white": (0.96, 0.96, 0.96),
}
RADII = (7.0, 12.0)
"""The smallest and the largest radius, in pixels."""
SIZE = 64
"""Height and width of a picture, in pixels."""
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
NUMBERS = {2: "two", 3: "three"}


def _star(u: Tensor, v: Tensor) -> Tensor:
    """Five points: the plane is folded onto the edge from an outer corner to an inner one."""
    angle = torch.atan2(u, -v).remainder(math.tau / 5)
    angle = torch.minimum(angle, math.tau / 5 - angle)
    length = torch.hypot(u, v)
    x, y = length * torch.sin(angle), length * torch.cos(angle)
    inner_x, inner_y = 0.42 * math.sin(math.pi / 5), 0.42 * math.cos(math.pi / 5)
    edge = math.hypot(inner_x, 1 - inner_y)
    return (x * (1 - inner_y) + (y - 1) * inner_x) / edge


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": lambda u, v: torch.hypot(u, v) - 1,
    "ring": lambda u, v: (torch.hypot(u, v) - 0.75).abs() - 0.25,
    "square": lambda u, v: torch.maximum(u.abs(), v.abs()) - 0.85,
    "diamond": lambda u, v: (u.abs() + v.abs() - 1.1) / math.sqrt(2),
    "triangle": lambda u, v: torch.maximum(v - 0.65, (math.sqrt(3) * u.abs() - v) / 2 - 0.55),
    "cross": lambda u, v: torch.minimum(
        torch.maximum(u.abs() - 0.32, v.abs() - 1), torch.maximum(u.abs() - 1, v.abs() - 0.32)
    ),
    "bar": lambda u, v: torch.maximum(u.abs() - 1.05, v.abs() - 0.36),
    "star": _star,
}
"""The signed distance of a point (u to the right, v down) from a shape of radius 1, negative inside."""


class Figure(NamedTuple):
    """A shape in a picture.

    Attributes:
        x, y: its centre, in pixels from the left and from the top.
        tint: added to each channel of its colour.
    """

    shape: str
    colour: str
    radius: float
    x: float
    y: float
    tint: float

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


class Scene(NamedTuple):
    """A picture before it is drawn.

    Attributes:
        captions: all correct captions.
        ground: the grey of the background, 0 to 1.
    """

    figures: list[Figure]
    captions: list[str]
    ground: float


@dataclass(eq=False, kw_only=True)
class Shapes(CaptionData):
    """Pictures of one shape ("a red circle"), of two and their relation ("a red circle left of a blue star", or the
    converse), or of two or three equal ones ("three green rings"), in random sizes. They are the same in all runs.

    Args:
        held_out: what occurs in the validation or test pictures alone. pairs: a tenth of the 2,016 pairs of coloured
            shapes for each split; things: 8 of the 64 coloured shapes for each split.
    """

    held_out: Literal["pairs", "things"] = "pairs"
    train_size: int = 10_000
    validation_size: int = 500
    test_size: int = 1_000

    largest_output = 36

    def input_sizes(self) -> tuple[int, list[int] | None]:
        return 3, [3, SIZE, SIZE]

    def read(self) -> dict[str, Captioned]:
        splits = {}
        for split in SPLITS:
            generator = random.Random(f"{GENERATION_SEED} {split}")
            size = getattr(self, f"{split}_size")
            number = min(size, self.limit or size)
            scenes = [draw_scene(generator, split, self.held_out == "pairs") for _ in range(number)]
            captions = [scene.captions for scene in scenes]
            splits[split] = Captioned(DrawnScenes(scenes), captions, [""] * len(scenes))
        return splits


def split_of_figure(figure: Figure) -> str:
    """The split whose pictures all show this coloured shape. Each colour and each shape is held out once per split."""
    distance = (list(SHAPES).index(figure.shape) - list(COLOURS).index(figure.colour)) % len(SHAPES)
    return {1: "validation", 4: "test"}.get(distance, "train")


def split_of_pair(first: Figure, second: Figure) -> str:
    """The split that has pictures of this pair, in any order, by a hash."""
    pair = ", ".join(sorted((str(first), str(second))))
    return {0: "validation", 1: "test"}.get(zlib.crc32(pair.encode()) % 10, "train")


def draw_scene(generator: random.Random, split: str, pairs: bool) -> Scene:
    """A random scene of a split.

    Args:
        generator: of random numbers.
        split: which one.
        pairs: hold out pairs of coloured shapes; otherwise single ones.
    """
    kind = generator.choices(("one", "pair", "alike"), (1, 2, 1))[0] if split == "train" or not pairs else "pair"
    while True:
        figure, other = _figure(generator), _figure(generator)
        owner = split_of_pair(figure, other) if pairs else split_of_figure(figure)
        if owner == split and str(figure) != str(other) and (pairs or split_of_figure(other) == "train"):
            break
    if kind == "one":
        figures = [figure._replace(x=generator.uniform(14, SIZE - 14), y=generator.uniform(14, SIZE - 14))]
        captions = [f"a {figure}"]
    elif kind == "pair":
        relation = generator.choice(list(OPPOSITE))
        across = _apart(generator, [figure.radius, other.radius])
        along = generator.uniform(20, SIZE - 20)
        aside = along + generator.uniform(-6, 6)
        if relation in ("right of", "below"):
            across = [SIZE - place for place in across]
        if relation in ("left of", "right of"):
            figures = [figure._replace(x=across[0], y=along), other._replace(x=across[1], y=aside)]
        else:
            figures = [figure._replace(x=along, y=across[0]), other._replace(x=aside, y=across[1])]
        captions = [f"a {figure} {relation} a {other}", f"a {other} {OPPOSITE[relation]} a {figure}"]
    else:
        number = generator.choice(list(NUMBERS))
        if number == max(NUMBERS):
            figure = figure._replace(radius=min(figure.radius, 9.0))
        across = _apart(generator, [figure.radius] * number)
        places = [generator.uniform(16, SIZE - 16) for _ in range(number)]
        upright = generator.random() < 0.5
        columns, rows = (places, across) if upright else (across, places)
        figures = [figure._replace(x=x, y=y) for x, y in zip(columns, rows, strict=True)]
        captions = [f"{NUMBERS[number]} {figure}{'es' if figure.shape == 'cross' else 's'}"]
    generator.shuffle(figures)  # so that the drawing order does not depend on the caption
    generator.shuffle(captions)
    return Scene(figures, captions, generator.uniform(0.0, 0.2))


def _figure(generator: random.Random) -> Figure:
    shape, colour = generator.choice(list(SHAPES)), generator.choice(list(COLOURS))
    return Figure(shape, colour, generator.uniform(*RADII), 0, 0, generator.uniform(-0.06, 0.06))


def _apart(generator: random.Random, radii: list[float]) -> list[float]:
    """Random centres along a line of shapes that do not touch."""
    room = SIZE - 2 - sum(2 * radius for radius in radii) - 2 * (len(radii) - 1)
    cuts = sorted(generator.uniform(0, room) for _ in radii)
    places, end = [], 1.0
    for number, (cut, radius) in enumerate(zip(cuts, radii, strict=True)):
        places.append(end + cut + radius + 2 * number)
        end += 2 * radius
    return places


class DrawnScenes:
    """The pictures of scenes, drawn on demand."""

    def __init__(self, scenes: list[Scene]):
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def gather(self, rows: list[int]) -> Tensor:
        return draw([self.scenes[row] for row in rows])


def draw(scenes: list[Scene]) -> Tensor:
    """Draw scenes with anti-aliased edges: (B, 3, SIZE, SIZE), 0 to 1."""
    grounds = torch.tensor([scene.ground for scene in scenes])
    pictures = grounds[:, None, None, None].expand(-1, 3, SIZE, SIZE).clone()
    middles = torch.arange(SIZE) + 0.5
    for layer in range(max(NUMBERS)):
        for name, outside in SHAPES.items():
            numbered = [
                (row, scene.figures[layer])
                for row, scene in enumerate(scenes)
                if layer < len(scene.figures) and scene.figures[layer].shape == name
            ]
            if not numbered:
                continue
            rows = torch.tensor([row for row, _ in numbered])
            x, y, radius = torch.tensor([(figure.x, figure.y, figure.radius) for _, figure in numbered]).unbind(1)
            colours = torch.tensor([[part + figure.tint for part in COLOURS[figure.colour]] for _, figure in numbered])
            u = ((middles - x[:, None]) / radius[:, None])[:, None, :].expand(-1, SIZE, -1)
            v = ((middles - y[:, None]) / radius[:, None])[:, :, None].expand(-1, -1, SIZE)
            share = (0.5 - outside(u, v) * radius[:, None, None]).clamp(0, 1)[:, None]
            pictures[rows] = pictures[rows].lerp(colours[:, :, None, None], share)
    return pictures.clamp(0, 1)
