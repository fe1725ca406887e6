"""Two runs that read one text, side by side: their answers, states and gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from seqzoo.contracts.errors import DataError
from seqzoo.inspection.drawing import draw_states
from seqzoo.runs.demo.replies import seeded
from seqzoo.runs.inside import Course
from seqzoo.runs.loaded import Loaded

LONGEST_READ = 120
"""Maximum number of characters of a text whose states are drawn."""
PICTURES = 6
"""Maximum number of pictures that follow each other while a text is read."""


class Side(NamedTuple):
    """What one of the runs does with the text.

    Attributes:
        answer: as a readable line.
        course: the states and gates of a layer.
        title: of the picture.
    """

    answer: str
    course: Course
    title: str

    def draw(self, shown: int) -> Any:
        """The states after this many steps, a matplotlib figure."""
        return draw_states(*self.course, self.title, shown)


def read_by_each(runs: Sequence[tuple[str, Loaded]], text: str, last_layer: bool, seed: int = 0) -> list[Side]:
    """Let runs read a text.

    Args:
        runs: with their names.
        text: the text.
        last_layer: draw the last layer; False: the first one.
        seed: random seed of sampling, the same for all runs.

    Raises:
        DataError: the text is empty or too long, or a run has no cells over its steps.
    """
    if not text.strip():
        raise DataError("the input is empty: write a text")
    if len(text) > LONGEST_READ:
        raise DataError(
            f"the text has {len(text):,} characters: write at most {LONGEST_READ}, so that they can be drawn"
        )
    sides = []
    for name, loaded in runs:
        with seeded(seed):
            inside = loaded.look_inside(text)
        if not inside.layers:
            raise DataError(f"{name} has no recurrent cells to draw: choose another run")
        layer = list(inside.layers)[-1 if last_layer else 0]
        sides.append(Side(inside.answer, inside.layers[layer], f"{name}, {layer.replace('_', ' ')}"))
    return sides


def while_reading(sides: Sequence[Side]) -> Iterator[list[Any]]:
    """The pictures of all sides after more and more of the text, at last after all of it."""
    count = min(PICTURES, max(len(side.course.read) for side in sides))
    for part in range(1, count + 1):
        yield [side.draw(-(-len(side.course.read) * part // count)) for side in sides]
