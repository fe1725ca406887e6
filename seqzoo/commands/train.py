"""Train a run or a sweep, or resume one."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from seqzoo.commands.command_line import allow_own_modules, help_options
from seqzoo.contracts.errors import ConfigError, SeqzooError, program

if TYPE_CHECKING:
    from seqzoo.runs.launch import Sweep


def train(arguments: list[str]) -> None:
    """Train one run, a sweep (-m), or resume a run (resume=RUN_DIR)."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    if "-h" in flags or "--help" in flags:
        help_options("train", overrides)
        return
    _check_flags(flags)
    from seqzoo.runs.launch import launch, resume_one, take_resume, until_stopped

    allow_own_modules(overrides)
    run_dir, rest = take_resume(overrides)
    if run_dir is not None:
        if flags:
            raise ConfigError([f"{flags[0]} cannot be combined with resume=, which continues a single run"])
        until_stopped(lambda: resume_one(run_dir, rest))
        return
    sweep = launch(flags, overrides)
    if sweep is not None:
        _summarize(sweep)


def _summarize(sweep: Sweep) -> None:
    """Print a table of the runs of a sweep. Raises SeqzooError that lists the failed jobs."""
    from seqzoo.analysis.comparison import compare
    from seqzoo.analysis.comparison_tables import as_text
    from seqzoo.analysis.finished_runs import read_runs

    print()
    with suppress(SeqzooError):  # no run has finished
        runs, problems = read_runs([str(sweep.folder)])
        print(f"{as_text(compare(runs), problems)}\n")
    compare_again = f"{program('seqzoo')} compare {shlex.quote(str(sweep.folder))} --html compare.html"
    done = len(sweep.with_status("done"))
    print(f"{sweep.folder}: {done} of {sweep.num_jobs} jobs are done\n\n{compare_again}", flush=True)
    sweep.raise_failed()


FLAGS = ("-m", "--multirun", "--cfg", "--resolve", "--info")
"""Hydra flags that apply to a run or a sweep."""


def _check_flags(flags: list[str]) -> None:
    for flag in flags:
        name = flag.partition("=")[0]
        if name not in FLAGS:
            raise ConfigError(
                [f"there is no flag {name!r}: options have no dashes, as in task=tagging; -m makes a sweep"]
            )
