"""Figures of inputs, attention, states and confusions by matplotlib, and coloured text for a terminal."""

from __future__ import annotations

import importlib.util
import math
import textwrap
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts import disk
from seqzoo.contracts.batch import Alignment, Explanation
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import ConfigError, not_installed, printable
from seqzoo.contracts.note_notation import LOWEST, write_chord
from seqzoo.inspection.fonts import families, missing_characters_reported

COLUMNS = 80
"""Characters per line of text in a figure; a Chinese character counts as two."""

PANELS = 6
"""Maximum number of pictures side by side."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def need_matplotlib() -> None:
    """Raise ConfigError where matplotlib is not installed."""
    if not can_draw():
        raise ConfigError([f"drawing needs {not_installed('matplotlib')}"])


def draw(alignment: Alignment) -> Any:
    """Draw attention weights.

    For an answer of several tokens, a matrix with a row for each of them and a column for each input step; for a single
    answer, the text with a background by the weight of each word; for a picture, the picture once for each word of the
    caption, with its regions lightened by their weights.

    Returns:
        A matplotlib figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    if alignment.picture is not None:
        return _draw_over_picture(alignment, alignment.picture)
    if len(alignment.written) == 1:
        return _draw_text(alignment)
    from matplotlib.figure import Figure

    rows, columns = alignment.weights.shape
    figure = Figure(figsize=(1.5 + 0.35 * columns, 1.0 + 0.3 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(alignment.weights.float().cpu().numpy(), cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
    axes.xaxis.tick_top()
    style: dict[str, Any] = {"family": families([*alignment.read, *alignment.written]), "parse_math": False}
    axes.set_xticks(range(columns), alignment.read, rotation=90, **style)
    axes.set_yticks(range(rows), alignment.written, **style)
    axes.set_ylabel("written")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("read, from the end of the text" if alignment.backwards else "read")
    figure.supxlabel("weight: white 0, black 1", fontsize=8)
    return figure


def _draw_text(alignment: Alignment) -> Any:
    from matplotlib.figure import Figure

    weights = alignment.weights[0].float().cpu()
    shades = (weights / weights.max().clamp(min=1e-12)).tolist()
    gap = len(separator(alignment.read))
    places, column, line = [], 0, 0
    for word in alignment.read:
        if column and column + text_width(word) > COLUMNS:
            column, line = 0, line + 1
        places.append((column, line))
        column += text_width(word) + gap
    figure = Figure(figsize=(0.1 * COLUMNS + 0.4, 0.25 * (line + 2) + 0.2))
    axes = figure.add_axes((0.02, 0.0, 0.96, 1.0))
    axes.set_xlim(0, COLUMNS)
    axes.set_ylim(line + 2, 0)
    axes.axis("off")
    fonts = families([*alignment.read, *alignment.written])
    style: dict[str, Any] = {"family": fonts, "fontsize": 11, "va": "center", "parse_math": False}
    axes.text(0, 0.5, f"-> {alignment.written[0]}", **style)
    for word, shade, (x, y) in zip(alignment.read, shades, places, strict=True):
        # orange, on which black text is legible
        ground = {"facecolor": (1.0, 0.6, 0.0, 0.9 * shade), "edgecolor": "none", "pad": 1.0}
        axes.text(x, y + 1.5, word, bbox=ground, **style)
    return figure


def _draw_over_picture(alignment: Alignment, picture: Tensor) -> Any:
    shown = _pixels(picture)
    height, width = shown.shape[:2]
    columns = round((alignment.weights.shape[1] * width / height) ** 0.5)
    panels = [(shown, "")]
    for word, weights in zip(alignment.written, alignment.weights.float().cpu(), strict=True):
        light = (weights / weights.max().clamp(min=1e-12)).view(1, 1, -1, columns)
        light = F.interpolate(light, (height, width), mode="bilinear")[0, 0, :, :, None]
        panels.append(((shown + light.numpy()) / 2, word))
    return _draw_panels(panels)


def draw_pictures(pictures: Tensor, lines: list[str]) -> Any:
    """Draw pictures (N, C, Y, X) or clips (N, T, C, Y, X), 0 to 1, with a line below each, as a matplotlib figure."""
    return _draw_panels([(_pixels(picture), line) for picture, line in zip(pictures, lines, strict=True)])


def _draw_panels(panels: list[tuple[Any, str]]) -> Any:
    """Pictures with a text below each, PANELS per row."""
    from matplotlib.figure import Figure

    rows, columns = panels[0][0].shape[:2]
    wide = min(max(round(columns / rows), 1), PANELS)  # the frames of a clip are side by side
    across = min(len(panels), PANELS // wide)
    down = -(-len(panels) // across)
    texts = [textwrap.fill(text, wide * (28 if text_width(text) == len(text) else 14)) for _, text in panels]
    # in inches
    height, below = 2.0 * wide * rows / columns, 0.2 + 0.16 * max(text.count("\n") + 1 for text in texts)
    figure = Figure(figsize=(2.0 * wide * across, (height + below) * down), layout="constrained")
    fonts = families(texts)
    for number, axes in enumerate(figure.subplots(down, across, squeeze=False).flat):
        axes.axis("off")
        axes.set_anchor("N")
        if number < len(panels):
            axes.imshow(panels[number][0])
            axes.set_title(texts[number], fontsize=8, family=fonts, parse_math=False, y=-0.12 / height, va="top")
    return figure


def _pixels(picture: Tensor) -> Any:
    """A picture (C, Y, X), or the frames (T, C, Y, X) of a clip side by side, as (Y, X, 3) for matplotlib."""
    if picture.dim() == 4:
        picture = torch.cat(list(picture), dim=2)
    shown = picture.detach().float().cpu().permute(1, 2, 0).numpy()
    return shown if shown.shape[2] == 3 else shown[..., :1].repeat(3, axis=2)


def draw_confusion(classes: list[str], counts: list[list[int]]) -> Any:
    """Draw a confusion matrix, with a row for each correct class, normalised by rows. Up to COUNTED classes, the counts
    are written into it.

    Args:
        classes: their names.
        counts: counts[i][j] is how often class j was predicted where class i was correct.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    size = len(classes)
    figure = Figure(figsize=(2.0 + 0.5 * size, 1.5 + 0.45 * size), layout="constrained")
    axes = figure.add_subplot()
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    style: dict[str, Any] = {"family": ["DejaVu Sans", *families(classes)], "parse_math": False}
    axes.set_xticks(range(size), classes, rotation=90 if max(map(len, classes)) > 4 else 0, **style)
    axes.set_yticks(range(size), classes, **style)
    axes.set_xlabel("answered")
    axes.set_ylabel("right")
    if size <= COUNTED:
        for row, columns in enumerate(counts):
            for column, count in enumerate(columns):
                if count:
                    color = "white" if shares[row][column] > 0.5 else "black"
                    axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return figure


COUNTED = 20
"""Maximum number of classes for which the counts are written into a confusion matrix."""


def draw_memory(state_norms: list[float], gradient_norms: list[float]) -> Any:
    """Draw the norm of the state after each step, and the norm of the gradient of the loss with respect to the state by
    the lag to the end of the row, as a matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.0))
    forwards, backwards = figure.add_axes((0.08, 0.17, 0.38, 0.78)), figure.add_axes((0.6, 0.17, 0.38, 0.78))
    forwards.plot(range(1, len(state_norms) + 1), state_norms)
    forwards.set(xlabel="step", ylabel="norm of the state")
    # logarithms on a linear axis, since a logarithmic axis is drawn five times as slowly
    lags = [lag for lag, norm in enumerate(gradient_norms, start=1) if 0 < norm < math.inf]
    backwards.plot(lags, [math.log10(gradient_norms[lag - 1]) for lag in lags])
    backwards.set(xlabel="lag (steps before the end)", ylabel="log10 of the gradient's norm")
    for axes in (forwards, backwards):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_states(read: list[str], states: Mapping[str, Tensor], title: str = "", shown: int | None = None) -> Any:
    """Draw states as heat maps, a row for each unit and a column for each step.

    Values between 0 and 1 are gates, drawn from white to black. Others are blue below 0 and red above, scaled by the
    largest absolute value of the panel, which is below its name. At most UNITS units are drawn, those that change most.
    All panels are one image, which is drawn five times as fast as several.

    Args:
        read: the labels of the steps.
        states: (T, units) by name, a panel for each.
        title: of the figure.
        shown: number of first steps whose values are drawn, in the colours and at the places that they have among all;
            None: all.

    Returns:
        A matplotlib figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    steps = len(read)
    labels = read if steps <= LABELLED else []
    most = max(values.shape[1] for values in states.values())
    drawn: dict[int, Tensor] = {}  # the same units in all panels of one width
    panels, names, ticks, start = [], [], [], 0
    for name, values in states.items():
        width, values = values.shape[1], values.float().cpu()
        if width not in drawn:
            drawn[width] = values.std(0, correction=0).topk(min(width, UNITS)).indices.sort().values
        values = values[:, drawn[width]]
        colours = _coloured(values.T)
        colours[:, steps if shown is None else shown :] = 1.0
        panels.append(torch.cat([colours, torch.ones(max(min(most, UNITS) // 8, 1), steps, 3)]))
        names.append(f"{name}\n{_scale(values)}")
        ticks.append(start + values.shape[1] / 2)
        start += len(panels[-1])
    rest = f"{UNITS} of {most} units, those that change most" if most > UNITS else counted(most, "unit")
    heading = textwrap.fill(f"{title}: {rest}" if title else rest, 60)
    # in inches
    left, below = 0.8 + 0.08 * max(map(len, states)), 0.4 + 0.09 * max(map(text_width, labels), default=0)
    width_of_image, height = min(max(0.2 * steps, 4.0), 40.0), 1.5 * len(states)
    above = 0.55 + 0.2 * heading.count("\n")
    figure = Figure(figsize=(left + width_of_image + 0.1, below + height + above))
    total_width, total_height = figure.get_size_inches()
    place = (left / total_width, below / total_height, width_of_image / total_width, height / total_height)
    axes = figure.add_axes(place)
    axes.imshow(torch.cat(panels).numpy(), aspect="auto", interpolation="nearest")
    axes.set_yticks(ticks, names, fontsize=9)
    fonts = families([*labels, title])
    axes.set_xticks(range(len(labels)), labels, rotation=90, family=fonts, parse_math=False)
    if not labels:
        axes.set_xlabel(counted(steps, "step"))
    axes.set_title(heading, fontsize=10, loc="left", pad=20, family=["DejaVu Sans", *fonts], parse_math=False)
    axes.text(0, 1.01, "gates: white 0, black 1", transform=axes.transAxes, fontsize=8, va="bottom", color="#444444")
    for column, (text, colour) in enumerate((("below 0", "#2166ac"), ("above 0", "#b3192b"))):
        offset = (1.85 + 0.6 * column) / width_of_image
        axes.text(offset, 1.01, text, transform=axes.transAxes, fontsize=8, va="bottom", color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _scale(values: Tensor) -> str:
    """The label of the colour scale of a panel."""
    return "0 to 1" if _is_gate(values) else f"\u00b1{float(values.abs().max()):.2g}"


def _is_gate(values: Tensor) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def _coloured(values: Tensor) -> Tensor:
    """Values (units, T) as colours (units, T, 3)."""
    if _is_gate(values):
        return (1 - values)[..., None].repeat(1, 1, 3)
    shares = values / values.abs().max()
    red, blue = torch.tensor([0.7, 0.09, 0.17]), torch.tensor([0.13, 0.4, 0.67])
    full = torch.where(shares[..., None] > 0, red, blue)
    return 1 - shares.abs()[..., None] * (1 - full)


UNITS = 32
"""Maximum number of units that are drawn."""

LABELLED = 150
"""Maximum number of steps that are labelled."""


def draw_piano_roll(frames: Tensor, steps_per_quarter: int, given: int = 0) -> Any:
    """Draw frames of notes over time, those that were given in grey.

    Args:
        frames: (T, 88), 1 where a note sounds.
        steps_per_quarter: steps per quarter note.
        given: number of the first frames that were given, and not written by a model.

    Returns:
        A matplotlib figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    steps = len(frames)
    notes = [*frames.any(0).nonzero()[:, 0].tolist()] or [MIDDLE_C - LOWEST]
    lowest, highest = LOWEST + notes[0] - 2, LOWEST + notes[-1] + 2
    width = min(max(4.0, 0.09 * steps), WIDEST)
    figure = Figure(figsize=(1.0 + width, 1.0 + 0.07 * (highest - lowest)), layout="constrained")
    axes = figure.add_subplot()
    silent = torch.zeros_like(frames[:1])
    changes = torch.cat([silent, frames, silent]).round().int().diff(dim=0).T
    for key, change in enumerate(changes):
        starts, ends = (change > 0).nonzero()[:, 0].tolist(), (change < 0).nonzero()[:, 0].tolist()
        for start, end in zip(starts, ends, strict=True):
            for first, last, colour in ((start, min(end, given), "0.45"), (max(start, given), end, "C0")):
                if first < last:
                    left, length = first / steps_per_quarter, (last - first) / steps_per_quarter
                    axes.broken_barh([(left, length)], (key + LOWEST - 0.4, 0.8), color=colour, linewidth=0)
    octaves = range(lowest - lowest % 12, highest + 12, 12)
    axes.set_yticks(octaves, [write_chord([note]) for note in octaves])
    axes.grid(axis="y", color="0.85")
    axes.set_axisbelow(True)
    axes.set(xlim=(0, steps / steps_per_quarter), ylim=(lowest, highest))
    axes.set_xlabel("quarter notes (grey: given)" if given else "quarter notes")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


MIDDLE_C = 60
WIDEST = 24.0
"""Of a piano roll, in inches."""


def save(figure: Any, path: Path) -> None:
    """Save a figure in the format of the suffix of the path.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        with missing_characters_reported():
            disk.write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:] or "png"))
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ConfigError([f"the picture {path} cannot be written: {reason}"]) from error


def coloured(explanation: Explanation) -> str:
    """The words on coloured backgrounds for a terminal: green if they support the answer, red if they oppose it."""
    strongest = max(float(explanation.weights.abs().max()), 1e-12)
    words = []
    for word, weight in zip(explanation.read, explanation.weights.tolist(), strict=True):
        pale = round(255 - 175 * abs(weight) / strongest)
        red, green, blue = (pale, 255, pale) if weight >= 0 else (255, pale, pale)
        words.append(f"\x1b[30;48;2;{red};{green};{blue}m{printable(word)}\x1b[0m")
    return separator(explanation.read).join(words)


def plain(explanation: Explanation) -> str:
    """The words with their weights, without colours."""
    weights = zip(explanation.read, explanation.weights.tolist(), strict=True)
    return " ".join(f"{printable(word)} ({weight:.2f})" for word, weight in weights)


def separator(tokens: list[str]) -> str:
    """The separator between tokens: a space, or nothing where all tokens are characters."""
    return " " if any(len(token) > 1 for token in tokens) else ""


def text_width(word: str) -> int:
    """The width of a word in characters; a Chinese character counts as two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in word)
