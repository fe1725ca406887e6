"""The table at the end of a training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqzoo.configuration.cost import Cost
from seqzoo.configuration.experiment import Experiment
from seqzoo.contracts.errors import program
from seqzoo.runs.opening_table import cost_rows
from seqzoo.training.record.run import format_number, format_seconds, format_speed, format_table
from seqzoo.training.session import Session


def closing_table(
    folder: Path,
    experiment: Experiment,
    scores: Mapping[str, Mapping[str, float]],
    session: Session,
    cost: Cost,
    baseline: Sequence[tuple[str, str]],
    ending: str,
) -> str:
    """The table at the end of a training: the scores of each split, rows about the baseline, size, time and what ended
    it; and how to see the curves.
    """
    rows = [
        (split, "  ".join(f"{name} {format_number(value)}" for name, value in values.items()))
        for split, values in scores.items()
    ]
    rows += [
        *baseline,
        *cost_rows(experiment, cost, session.unit),
        ("time", f"{format_seconds(session.position.seconds)} of training, {format_speed(session)}"),
        ("ended", ending),
        ("folder", str(folder)),
    ]
    return f"{format_table(rows)}\n\n{program('tensorboard')} --logdir {shlex.quote(_log_folder(folder))}"


def _log_folder(folder: Path) -> str:
    """The folder to open in TensorBoard: `runs`, with all other runs, or that of the run."""
    return "runs" if folder.resolve().is_relative_to(Path("runs").resolve()) else str(folder)
