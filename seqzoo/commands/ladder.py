"""How far back a cell remembers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from seqzoo.commands.arguments import allow_own_modules, check_new


def ladder(arguments: list[str]) -> None:
    """Train a cell on tasks of memory, longer and longer, and print how far it gets."""
    parser = argparse.ArgumentParser(
        "seqzoo ladder",
        description="How many steps of the past a cell carries: copy, adding, recall and parity at growing lengths, "
        "each trained from a fresh start. About a minute for cell=lstm on a free core, more for who gets further.",
    )
    parser.add_argument(
        "options", nargs="*", metavar="OPTION=VALUE", help="as of train: cell=gru seed=1 training.steps=2000"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="keep the runs there, and a table of them")
    chosen = parser.parse_intermixed_args(arguments)
    check_new(chosen.to)
    allow_own_modules(chosen.options)
    from seqzoo.analysis.ladder import TABLE, climb, report, write
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
            print(f"wrote {chosen.to / TABLE}; the runs are beside it")

    until_stopped(run)
