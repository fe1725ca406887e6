"""Trees as lines of text and as pictures: the label, word and probability of each node, below its parent."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.capabilities import ScoredTree
from seqzoo.contracts.tree_notation import Tree, children_of
from seqzoo.inspection.drawing import need_matplotlib, text_width
from seqzoo.inspection.fonts import families

MARGIN, LEVEL, LETTER, NARROWEST = 0.4, 0.6, 0.09, 0.5
"""Inches: around a tree, between levels, per letter of a word, of a leaf."""
LARGEST = 60.0
"""Inches, of the sides of a picture."""


def tree_lines(scored: ScoredTree) -> list[str]:
    """Draw a tree, the root first.

    Args:
        scored: the tree.

    Returns:
        A line for each node: lines to its parent, label, word, and the probability of the label.
    """
    tree, children, lines = scored.tree, children_of(scored.tree.parents), list[str]()
    waiting = [(len(tree.words) - 1, "", "")] if tree.words else []
    while waiting:
        node, before, below = waiting.pop()
        parts = [part for part in (tree.labels[node], tree.words[node]) if part]
        lines.append(f"{before}{' '.join(parts)} ({scored.probabilities[node]:.2f})")
        inner = [(child, f"{below}├─ ", f"{below}│  ") for child in children[node][:-1]]
        last = [(child, f"{below}└─ ", f"{below}   ") for child in children[node][-1:]]
        waiting += reversed(inner + last)
    return lines


def draw_tree(scored: ScoredTree) -> Any:
    """Draw a tree, the root above, its words below.

    A node has its label, coloured by the place of the label among all classes and the paler the lower its probability,
    which stands beside it. Where the correct label is another one, both are shown, in a red frame.

    Returns:
        A matplotlib figure. A tree that is too large for text is drawn without it.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    tree, (x, y) = scored.tree, _places(scored.tree)
    top = max(y, default=0)
    width, height = max(x, default=0.0) + 2 * MARGIN, LEVEL * top + 2 * MARGIN
    is_legible = max(width, height) <= LARGEST
    figure = Figure(figsize=(min(width, LARGEST), min(height, LARGEST)))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.axis("off")
    axes.set_xlim(0, width)
    axes.set_ylim(-MARGIN / LEVEL, top + MARGIN / LEVEL)
    ends = [[(x[node], y[node]), (x[above], y[above])] for node, above in enumerate(tree.parents) if above >= 0]
    axes.add_collection(LineCollection(ends, colors="0.6", linewidths=0.8, zorder=0))
    place = {label: number / max(1, len(scored.classes) - 1) for number, label in enumerate(scored.classes)}
    colours = [colormaps["coolwarm_r"](place.get(label, 0.5))[:3] for label in tree.labels]
    if not is_legible:
        axes.scatter(x, y, c=colours, s=4)
        return figure
    style: dict[str, Any] = {"family": families(tree.words), "ha": "center", "parse_math": False}
    for node, (label, word) in enumerate(zip(tree.labels, tree.words, strict=True)):
        probability, correct = scored.probabilities[node], scored.true[node] if scored.true else ""
        is_wrong = correct not in ("", label)
        ground = {
            "boxstyle": "round,pad=0.3",
            "facecolor": [1 - 0.7 * probability * (1 - part) for part in colours[node]],
            "edgecolor": "red" if is_wrong else "0.5",
            "linewidth": 1.5 if is_wrong else 0.5,
        }
        shown, here = f"{label}/{correct}" if is_wrong else label, (x[node], y[node])
        axes.text(*here, shown, va="center", fontsize=9, bbox=ground, **style)
        beside: dict[str, Any] = {"xy": here, "textcoords": "offset points"}
        axes.annotate(f"{probability:.2f}", xytext=(9, 7), fontsize=6, color="0.4", **beside)
        axes.annotate(word, xytext=(0, -18), va="baseline", fontsize=9, **beside, **style)
    return figure


def _places(tree: Tree) -> tuple[list[float], list[int]]:
    """The place of each node: inches from the left, and the number of levels below it."""
    children, x, y = children_of(tree.parents), [0.0] * len(tree.words), [0] * len(tree.words)
    right, waiting = MARGIN, [len(tree.words) - 1] if tree.words else []
    while waiting:  # leaves from left to right
        node = waiting.pop()
        waiting += reversed(children[node])
        if not children[node]:
            wide = max(NARROWEST, LETTER * (text_width(tree.words[node]) + 1))
            x[node], right = right + wide / 2, right + wide
    for node, below in enumerate(children):
        if below:
            x[node], y[node] = (x[below[0]] + x[below[-1]]) / 2, 1 + max(y[child] for child in below)
    return x, y
