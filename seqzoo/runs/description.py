"""The tables before and after the training of a run, and the command that resumes it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from seqzoo.configuration import composing
from seqzoo.configuration.cost import Cost, memory_to_train
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.sizing import describe_inputs, describe_outputs
from seqzoo.contracts.errors import program
from seqzoo.contracts.parts import DataModule
from seqzoo.contracts.spec import DataSpec
from seqzoo.network import results
from seqzoo.training.record.older import BPTT
from seqzoo.training.record.run import format_number, format_seconds, format_speed, format_table
from seqzoo.training.session import Position, Session
from seqzoo.training.settings import Training

STILL_IMPROVING = 0.9
"""Share of the updates from which on the best validation means that later ones may be better."""


def introduction(
    folder: Path, experiment: Experiment, data: DataModule, session: Session, threads: int, cost: Cost
) -> str:
    """The table at the beginning of a training, new or resumed."""
    sizes = ", ".join(f"{split} {count:,}" for split, count in data.splits().items())
    names = " ".join(f"{group}={experiment.choices[group]}" for group in ("task", "data", "backbone", "cell"))
    padding = results.checked(data, "padding_share", data.padding_share())
    padded = "" if padding is None else f"; {padding:.1%} of the steps of a batch are padding"
    device = str(session.device)
    if session.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(session.device)}, {session.settings.precision})"
    rows = [
        ("run", f"{names} seed={experiment.seed}"),
        ("data", f"{sizes}; {describe_inputs(data.spec, data.unit)}, {describe_outputs(data.spec)}{padded}"),
        *_describe_vectors(data.spec),
        *_describe_cost(experiment, cost, data.unit),
        ("device", f"{device}, {threads} {'thread' if threads == 1 else 'threads'}"),
        *([] if experiment.learning == BPTT else [("learning", experiment.choices["learning"])]),
        ("training", _describe_end(session)),
        ("folder", str(folder)),
    ]
    rows += [("remark", remark) for remark in data.remarks]
    if session.position.step:
        rows.append(("continues", f"after update {session.position.step:,}"))
    return format_table(rows)


def summary(
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
        *_describe_cost(experiment, cost, session.unit),
        ("time", f"{format_seconds(session.position.seconds)} of training, {format_speed(session)}"),
        ("ended", ending),
        ("folder", str(folder)),
    ]
    return f"{format_table(rows)}\n\n{program('tensorboard')} --logdir {shlex.quote(_log_folder(folder))}"


def command_to_resume(folder: Path, experiment: Experiment) -> str:
    """The command that resumes a run."""
    allowed = [f"allow_modules=[{','.join(experiment.allow_modules)}]"] if experiment.allow_modules else []
    allowed += ["allow_changed_data=true"] if experiment.allow_changed_data else []
    arguments = ["train", *composing.config_dir_arguments(), f"resume={folder}", *allowed]
    return f"{program('seqzoo')} {shlex.join(arguments)}"


def describe_ending(session: Session, batches: int) -> str:
    """Why a training ended, which update was the best, and how to train longer if that may help.

    Args:
        session: the training.
        batches: number of batches of its last epoch.
    """
    position, settings = session.position, session.settings
    improving = position.best_step >= STILL_IMPROVING * position.step
    if settings.patience is not None and position.waited >= settings.patience:
        reason, improving = f"{settings.patience} validations without improvement", False
    elif session.seconds is not None and position.update_seconds >= session.seconds:
        reason = f"budget.seconds={session.seconds:g}"
    elif settings.steps is not None and position.step >= settings.steps:
        reason = f"training.steps={settings.steps}"
    else:
        reason = f"training.epochs={settings.epochs}"
    ended = f"after {position.step:,} updates, {_epochs(position, batches)}: {reason}"
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


def _describe_cost(experiment: Experiment, cost: Cost, unit: str) -> list[tuple[str, str]]:
    """Lines of a table about the size of a model and its deviation from the budget."""
    flops = "unknown" if cost.flops_per_token is None else f"{cost.flops_per_token:,.0f}"
    reason = f" ({cost.unknown})" if cost.unknown else ""
    rows = [
        ("model", f"{cost.parameters:,} parameters, {flops} FLOPs per {unit}{reason}"),
        (
            "memory",
            f"{memory_to_train(cost)} during training; recurrent state of a sequence: {cost.state_bytes:,} bytes",
        ),
    ]
    width = experiment.budget.width
    if width is not None:
        name, target = width
        measured = {"parameters": (cost.weights, "weights"), "flops": (cost.flops_per_token, f"FLOPs per {unit}")}
        reached, what = measured[name]
        assert reached is not None  # a budget of FLOPs is met only if they can be counted
        hidden = experiment.backbone["hidden_size"]
        rows.append(
            ("budget", f"{reached:,.0f} of {target:,.0f} {what} ({reached / target - 1:+.2%}): hidden_size {hidden}")
        )
    return rows


def _describe_vectors(spec: DataSpec) -> list[tuple[str, str]]:
    vectors = spec.vectors
    if vectors is None:
        return []
    return [("vectors", f"{vectors.found:,} of {vectors.words:,} words, {vectors.share:.1%} of the training tokens")]


def _describe_end(session: Session) -> str:
    ends = [] if session.total_steps is None else [f"{session.total_steps:,} updates"]
    ends += [] if session.seconds is None else [f"{session.seconds:g} seconds"]
    return " or ".join(ends)


def _log_folder(folder: Path) -> str:
    """The folder to open in TensorBoard: `runs`, with all other runs, or that of the run."""
    return "runs" if folder.resolve().is_relative_to(Path("runs").resolve()) else str(folder)
