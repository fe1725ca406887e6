"""Pictures of what a model attended to. They need matplotlib."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from seqzoo.contracts import Alignment
from seqzoo.errors import ConfigError


def can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw(alignment: Alignment) -> Any:
    """A matplotlib figure: a row for each token that was written, a column for each step that it could attend to; the
    darker, the more. Raises ConfigError where matplotlib is not installed.
    """
    if not can_draw():
        raise ConfigError(['Pictures need matplotlib: pip install "seqzoo[report]".'])
    from matplotlib.figure import Figure

    rows, columns = alignment.weights.shape
    figure = Figure(figsize=(1.5 + 0.35 * columns, 1.0 + 0.3 * rows), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(alignment.weights.float().cpu().numpy(), cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(range(columns), alignment.read, rotation=90)
    axes.set_yticks(range(rows), alignment.written)
    return figure


def save(alignment: Alignment, path: Path) -> None:
    """Draw into a file, whose ending says its format. Raises ConfigError where it cannot be written."""
    figure = draw(alignment)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a script that the font lacks is drawn as boxes
            figure.savefig(path)
    except (ValueError, OSError) as error:
        raise ConfigError([f"the picture {path} cannot be written: {str(error).splitlines()[0]}"]) from error
