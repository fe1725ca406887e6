"""Pictures of what a model attended to and of what it confuses (by matplotlib), and coloured text for a terminal."""

from __future__ import annotations

import importlib.util
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqzoo.contracts import Alignment, Explanation
from seqzoo.errors import ConfigError

COLUMNS = 80
"""Characters a line of text in a picture; a Chinese one is two."""

CHINESE_FONTS = (
    "Noto Sans Mono CJK SC",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Microsoft YaHei",
    "PingFang SC",
)


def can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw(alignment: Alignment) -> Any:
    """A matplotlib figure. Of an answer that is written token by token: a row for each of them, a column for each step
    that it could attend to; the darker, the more. Of one answer for all that was read: the text itself, each word on a
    ground that is the darker, the more it weighs. Raises ConfigError where matplotlib is not installed.
    """
    if not can_draw():
        raise ConfigError(['Pictures need matplotlib: pip install "seqzoo[report]".'])
    if len(alignment.written) == 1:
        return _draw_text(alignment)
    from matplotlib.figure import Figure

    rows, columns = alignment.weights.shape
    figure = Figure(figsize=(1.5 + 0.35 * columns, 1.0 + 0.3 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(alignment.weights.float().cpu().numpy(), cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(range(columns), alignment.read, rotation=90)
    axes.set_yticks(range(rows), alignment.written)
    return figure


def _draw_text(alignment: Alignment) -> Any:
    from matplotlib.figure import Figure

    weights = alignment.weights[0].float().cpu()
    shades = (weights / weights.max().clamp(min=1e-12)).tolist()
    gap = len(separator(alignment.read))
    places, column, line = [], 0, 0
    for word in alignment.read:
        if column and column + _width(word) > COLUMNS:
            column, line = 0, line + 1
        places.append((column, line))
        column += _width(word) + gap
    figure = Figure(figsize=(0.1 * COLUMNS + 0.4, 0.25 * (line + 2) + 0.2))
    axes = figure.add_axes((0.02, 0.0, 0.96, 1.0))
    axes.set_xlim(0, COLUMNS)
    axes.set_ylim(line + 2, 0)
    axes.axis("off")
    style: dict[str, Any] = {"family": _fonts(), "fontsize": 11, "va": "center", "parse_math": False}
    axes.text(0, 0.5, f"-> {alignment.written[0]}", **style)
    for word, shade, (x, y) in zip(alignment.read, shades, places, strict=True):
        # orange, on which black text stays legible
        ground = {"facecolor": (1.0, 0.6, 0.0, 0.9 * shade), "edgecolor": "none", "pad": 1.0}
        axes.text(x, y + 1.5, word, bbox=ground, **style)
    return figure


def draw_confusion(classes: list[str], counts: list[list[int]]) -> Any:
    """A matplotlib figure: a row for each right class, a column for each answer; the darker, the larger its share of
    the row. Where there are few classes, each field holds its count.
    """
    from matplotlib.figure import Figure

    size = len(classes)
    figure = Figure(figsize=(2.0 + 0.5 * size, 1.5 + 0.45 * size), layout="constrained")
    axes = figure.add_subplot()
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(size), classes, rotation=90 if max(map(len, classes)) > 4 else 0)
    axes.set_yticks(range(size), classes)
    axes.set_xlabel("answered")
    axes.set_ylabel("right")
    if size <= COUNTED:
        for row, columns in enumerate(counts):
            for column, count in enumerate(columns):
                color = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return figure


COUNTED = 20
"""Up to so many classes the counts are written into a confusion matrix."""


def save(alignment: Alignment, path: Path) -> None:
    """Draw into a file, whose ending says its format. Raises ConfigError where it cannot be written."""
    figure = draw(alignment)
    try:
        with any_script():
            figure.savefig(path)
    except (ValueError, OSError) as error:
        raise ConfigError([f"the picture {path} cannot be written: {str(error).splitlines()[0]}"]) from error


@contextmanager
def any_script() -> Iterator[None]:
    """A script that the font lacks is drawn as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        yield


def coloured(explanation: Explanation) -> str:
    """The words on grounds of colour, for a terminal: green for the answer, red against it; the stronger, the more."""
    strongest = max(float(explanation.weights.abs().max()), 1e-12)
    words = []
    for word, weight in zip(explanation.read, explanation.weights.tolist(), strict=True):
        pale = round(255 - 175 * abs(weight) / strongest)
        red, green, blue = (pale, 255, pale) if weight >= 0 else (255, pale, pale)
        words.append(f"\x1b[30;48;2;{red};{green};{blue}m{word}\x1b[0m")
    return separator(explanation.read).join(words)


def plain(explanation: Explanation) -> str:
    """The words with their weights, where there are no colours."""
    weights = zip(explanation.read, explanation.weights.tolist(), strict=True)
    return " ".join(f"{word} ({weight:.2f})" for word, weight in weights)


def separator(tokens: list[str]) -> str:
    """What stands between tokens: nothing where all are characters."""
    return " " if any(len(token) > 1 for token in tokens) else ""


def _width(word: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in word)


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans Mono", *(name for name in CHINESE_FONTS if name in installed)]
