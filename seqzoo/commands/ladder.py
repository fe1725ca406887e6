"""How many steps back a cell remembers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from seqzoo.commands.command_line import allow_own_modules, check_new


def ladder(arguments: list[str]) -> None:
    """Train a cell on memory tasks of increasing length, and print the longest lag that it solves."""
    parser = argparse.ArgumentParser(
        "seqzoo ladder",
        description="How many steps back a cell remembers: copy, adding, recall and parity at increasing lengths, each "
        "trained from scratch. It takes about a minute for cell=lstm on an idle core, longer for cells that remember "
        "more.",
    )
    parser.add_argument(
        "options", nargs="*", metavar="OPTION=VALUE", help="options as in train: cell=gru seed=1 training.steps=2000"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="output folder for the runs and a table of them")
    chosen = parser.parse_intermixed_args(arguments)
    check_new(chosen.to)
    allow_own_modules(chosen.options)
    from seqzoo.analysis.memory_ladder import TABLE, climb, report, write
    from seqzoo.runs.launch import until_stopped

    def run() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            attempts = []
            for attempt in climb(chosen.options, chosen.to or Path(temporary)):
                print(attempt, flush=True)
                attempts.append(attempt)
        print(f"\n{report(attempts)}")
        if chosen.to is not None:
            write(attempts, chosen.to / TABLE)
            print(f"wrote {chosen.to / TABLE}; the runs are in the same folder")

    until_stopped(run)
