"""Write the model of a finished run as a file that runs without seqzoo."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from seqzoo.commands.command_line import add_allow_module, find_modules_here


def export(arguments: list[str]) -> None:
    """Export the best weights of a run, with its vocabulary, its labels and a README."""
    parser = argparse.ArgumentParser(
        "seqzoo export",
        description="Write the model of a run as a file of ONNX or torch.export, with its vocabulary, its labels, a "
        "program that runs it and a README.md. The file is kept if its numbers are those of the model at three other "
        "sizes.",
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("--to", choices=("onnx", "torch"), default="onnx", help="format (default: onnx)")
    parser.add_argument(
        "--form",
        choices=("sequence", "step"),
        help="whole sequences with lengths (default), or one step with the state in and out; translations and captions "
        "have an encoder and the step of a decoder instead",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("exported"), help="a new or empty folder (default: exported)"
    )
    add_allow_module(parser)
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.allow_module:
        find_modules_here()
    from seqzoo.runs.exporting import write_export
    from seqzoo.runs.loading import load

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    loaded = load(chosen.run_dir, allow_modules=chosen.allow_module)
    paths = write_export(loaded.model, loaded.spec, chosen.to, chosen.form, chosen.folder)
    beside = sorted(path.name for path in chosen.folder.iterdir() if path not in paths)
    print(
        f"wrote {' and '.join(map(str, paths))}, and {', '.join(beside)} beside {'it' if len(paths) == 1 else 'them'}"
    )
