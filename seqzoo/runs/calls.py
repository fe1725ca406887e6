"""`seqzoo train` and `seqzoo evaluate` as functions for Python programs."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path
from types import NoneType

import torch

from seqzoo.configuration.composing import check_overrides
from seqzoo.contracts.arguments import MODULES, check_argument, check_folder, checked_list
from seqzoo.contracts.errors import ConfigError
from seqzoo.runs.launch import FinishedRun, resume_one, take_resume, train_one
from seqzoo.runs.lifecycle import evaluate_run
from seqzoo.training.device import select_device
from seqzoo.training.interrupt import Stopped
from seqzoo.training.record.files import Metrics


def train(*overrides: str) -> FinishedRun:
    """Train one run as `seqzoo train` does, with its progress bar, log and run directory.

    It seeds the random generators of the process and sets its number of threads.

    Args:
        *overrides: as on the command line, such as "task=tagging" and "training.epochs=3"; "resume=RUN_DIR" resumes
            a run.

    Returns:
        The run directory and the final metrics.

    Raises:
        TypeError: an override is not a string.
        ConfigError: all errors in the overrides.
        SeqzooError: the data cannot be read, or training cannot continue.
        KeyboardInterrupt: training was interrupted and saved; "resume=RUN_DIR" resumes it.

    Examples:
        >>> run = seqzoo.train("task=tagging", "cell=gru", "training.epochs=3")
        >>> run.metrics["test"]["accuracy"]
        >>> seqzoo.load(run.folder).predict(["the cat sleeps"])
    """
    check_overrides(overrides)
    flags = [override for override in overrides if override.startswith("-")]
    if flags:
        raise ConfigError([f"{flags[0]} is a flag of the command line: seqzoo.train takes options, as in task=tagging"])
    folder, rest = take_resume(overrides)
    try:
        return train_one(rest) if folder is None else resume_one(folder, rest)
    except Stopped as stopped:
        if stopped.signal_number == signal.SIGINT:
            raise KeyboardInterrupt from stopped
        raise SystemExit(128 + stopped.signal_number) from stopped


def evaluate(
    run_dir: str | Path,
    split: str | None = None,
    device: str | torch.device = "auto",
    allow_modules: Iterable[str] = (),
) -> Metrics:
    """Score the best weights of a run on one split of its data, as `seqzoo evaluate` does.

    Args:
        run_dir: the run directory, or "pretrained:NAME".
        split: "test", "validation" or "train"; None: "test" or, if the data has no test split, "validation".
        device: "auto", "cpu", "cuda" or "cuda:1", or a torch.device.
        allow_modules: user-defined modules that the run may use.

    Returns:
        The scores by name and, for tasks that predict classes, a "report" with the scores of each class.

    Raises:
        TypeError: an argument has a wrong type.
        ConfigError: the data of the run has no such split, or the run uses a module that is not allowed.
        CheckpointError: the directory is not a run directory, or is damaged.

    Examples:
        >>> seqzoo.evaluate(run.folder, "validation")["accuracy"]
    """
    check_folder("run_dir", run_dir)
    check_argument("split", split, (str, NoneType), '"test", "validation", "train" or None')
    modules = checked_list("allow_modules", allow_modules, str, MODULES)
    _, scores = evaluate_run(Path(run_dir), split, {"device": str(select_device(device))}, modules)
    return scores
