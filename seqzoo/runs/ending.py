"""Why a training ended, the override that makes it longer, and the command that resumes it."""

from __future__ import annotations

import shlex
from pathlib import Path

from seqzoo.configuration import composing
from seqzoo.configuration.experiment import Experiment
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import program
from seqzoo.training.session import Position, Session
from seqzoo.training.settings import Training

STILL_IMPROVING = 0.9
"""Share of the updates from which on the best validation means that later ones may be better."""


def describe_ending(session: Session, batches: int) -> str:
    """Why a training ended, which update was the best, and how to train longer if that may help.

    Args:
        session: the training.
        batches: number of batches of its last epoch.
    """
    position, settings = session.position, session.settings
    improving = position.best_step >= STILL_IMPROVING * position.step
    if settings.patience is not None and position.waited >= settings.patience:
        reason, improving = f"{counted(settings.patience, 'validation')} without improvement", False
    elif session.seconds is not None and position.update_seconds >= session.seconds:
        reason = f"budget.seconds={session.seconds:g}"
    elif settings.steps is not None and position.step >= settings.steps:
        reason = f"training.steps={settings.steps}"
    else:
        reason = f"training.epochs={settings.epochs}"
    ended = f"after {counted(position.step, 'update')}, {_epochs(position, batches)}: {reason}"
    if settings.keep == "last":
        return f"{ended}; the last weights were kept"
    later = f" and still improving, so {later_end(position, settings, session.seconds, batches)} may help"
    return f"{ended}; validation was best after update {position.best_step:,}" + later * improving


def _epochs(position: Position, batches: int) -> str:
    count = f"{position.epoch + position.batch / batches:.3g}"
    return f"{count} epoch{'s' * (count != '1')}"


def later_end(position: Position, settings: Training, seconds: float | None, batches: int) -> str:
    """An override that extends a finished training."""
    if seconds is not None and position.update_seconds >= seconds:
        return f"budget.seconds={2 * position.update_seconds:.0f}"
    epochs = position.epoch + (position.batch >= batches)
    if settings.epochs is not None and epochs >= settings.epochs:
        return f"training.epochs={2 * epochs}"
    return f"training.steps={2 * position.step}"


def command_to_resume(folder: Path, experiment: Experiment) -> str:
    """The command that resumes a run."""
    allowed = [f"allow_modules=[{','.join(experiment.allow_modules)}]"] if experiment.allow_modules else []
    allowed += ["allow_changed_data=true"] if experiment.allow_changed_data else []
    arguments = ["train", *composing.config_dir_arguments(), f"resume={folder}", *allowed]
    return f"{program('seqzoo')} {shlex.join(arguments)}"
