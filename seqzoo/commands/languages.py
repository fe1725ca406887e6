"""Which formal languages a cell learns."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from seqzoo.commands.command_line import allow_own_modules


def languages(arguments: list[str]) -> None:
    """Train a cell on formal languages, score it on longer inputs, and print which of them it solves."""
    parser = argparse.ArgumentParser(
        "seqzoo languages",
        description="What a cell computes: formal languages from regular to context-sensitive, groups and recall, "
        "learned on inputs of up to 40 tokens and scored on inputs of 41 to 500. A language takes one to five minutes "
        "on an idle core. With --to the same command continues where it was interrupted.",
    )
    parser.add_argument(
        "options", nargs="*", metavar="OPTION=VALUE", help="options as in train: cell=gru budget.seconds=60"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME",
        help="languages or levels: regular, context-free, context-sensitive, group, recall, parity_check, ...",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds, from 0 on; the best counts")
    parser.add_argument("--to", type=Path, metavar="DIR", help="output folder for the runs and a table of them")
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.seeds < 1:
        parser.error("--seeds must be at least 1")
    allow_own_modules([*chosen.options, *chosen.only])
    from seqzoo.analysis.language_levels import TABLE, attempts, chosen_languages, report, write
    from seqzoo.runs.launch import until_stopped

    # --only takes the words after it, and so the options that follow
    options = [*chosen.options, *(word for word in chosen.only if "=" in word)]
    names = chosen_languages([word for word in chosen.only if "=" not in word])

    def run() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            done = []
            for attempt in attempts(options, names, range(chosen.seeds), chosen.to or Path(temporary)):
                print(attempt, flush=True)
                done.append(attempt)
        print(f"\n{report(done)}")
        if chosen.to is not None:
            write(done, chosen.to / TABLE)
            print(f"wrote {chosen.to / TABLE}; the runs are in the same folder")

    until_stopped(run)
