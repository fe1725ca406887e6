"""Score a finished run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from seqzoo.commands.arguments import find_modules_here, pairs_of


def evaluate(arguments: list[str]) -> None:
    """Print the scores of a run on one split as JSON."""
    parser = argparse.ArgumentParser(
        "seqzoo evaluate", description="Score a run's best weights on one split of its data."
    )
    parser.add_argument("run_dir", type=Path, help="a run directory")
    parser.add_argument(
        "options", nargs="*", help="split=test (default), validation or train; device=, precision=, threads="
    )
    parser.add_argument("--allow-module", action="append", default=[], help="a module of your own that the run may use")
    chosen = parser.parse_intermixed_args(arguments)
    options = pairs_of(chosen.options, ("split", "device", "precision", "threads"))
    split = options.pop("split", "test")
    if options.get("threads", "").isdecimal():
        options["threads"] = int(options["threads"])
    if chosen.allow_module:
        find_modules_here()
    from seqzoo.runs import evaluate_run

    scores = evaluate_run(chosen.run_dir, split, options, chosen.allow_module)
    print(json.dumps({"split": split, **scores}, indent=2))
