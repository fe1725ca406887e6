"""Draw what a finished run does with one text."""

from __future__ import annotations

import argparse
from pathlib import Path

from seqzoo.commands.command_line import add_allow_module, find_modules_here
from seqzoo.contracts.errors import ConfigError, printable


def explain(arguments: list[str]) -> None:
    """Draw the outputs and gates of each layer over a text, and the attention of its answer."""
    parser = argparse.ArgumentParser(
        "seqzoo explain",
        description="Draw the outputs of each layer over a text, its gates if the text is not a tree, and the "
        "attention of the answer, if there is any.",
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("text", help="text that the model reads")
    parser.add_argument(
        "--to", type=Path, default=Path("explained"), metavar="DIR", help="output folder (default: explained)"
    )
    add_allow_module(parser)
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.allow_module:
        find_modules_here()
    from seqzoo.inspection.drawing import draw, draw_states, need_matplotlib, save
    from seqzoo.runs.loading import load

    need_matplotlib()
    inside = load(chosen.run_dir, allow_modules=chosen.allow_module).look_inside(chosen.text)
    try:
        chosen.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"--to is {str(chosen.to)!r}, which cannot be a folder: {error.strerror}"]) from None
    order = "read from the end of the text" if inside.backwards else "in the order of the text"
    order = "children before parents" if inside.over_trees else order
    figures = {
        f"{layer}.png": draw_states(*course, f"{layer.replace('_', ' ')}, {order}")
        for layer, course in inside.layers.items()
    }
    if inside.alignment is not None:
        figures["attention.png"] = draw(inside.alignment)
    for name, figure in figures.items():
        save(figure, chosen.to / name)
        print(f"wrote {chosen.to / name}")
    if inside.backwards:
        print("this run reads texts in reverse order, and the pictures do so from left to right")
    print(f"answer: {printable(inside.answer)}")
