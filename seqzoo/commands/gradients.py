"""The gradient norm by time lag."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from seqzoo.commands.command_line import allow_own_modules, check_new
from seqzoo.contracts.errors import program


def gradients(arguments: list[str]) -> None:
    """Print and draw the gradient norm of untrained cells by time lag."""
    parser = argparse.ArgumentParser(
        "seqzoo gradients",
        description="Gradient norm of the last output with respect to earlier states, by time lag, of untrained cells.",
    )
    parser.add_argument(
        "options",
        nargs="*",
        metavar="OPTION=VALUE",
        help="options as in a sweep of train: cell=elman,lstm cell.recurrent_gain=1,2",
    )
    parser.add_argument("--steps", type=int, default=100, help="longest lag in steps (default: 100)")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="output folder for a picture, a table and TensorBoard curves"
    )
    chosen = parser.parse_intermixed_args(arguments)
    check_new(chosen.to)
    allow_own_modules(chosen.options)
    from seqzoo.analysis.gradient_flow import format_curves, gradient_flow, write
    from seqzoo.inspection.drawing import need_matplotlib

    if chosen.to is not None:
        need_matplotlib()
    curves = gradient_flow(chosen.options, chosen.steps)
    print(format_curves(curves))
    if chosen.to is not None:
        for path in write(curves, chosen.to):
            print(f"wrote {path}")
        print(f"curves for TensorBoard: {program('tensorboard')} --logdir {shlex.quote(str(chosen.to))}")
