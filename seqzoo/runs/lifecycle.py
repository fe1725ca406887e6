"""A run from its configuration to its final metrics: start, resume, evaluate."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from seqzoo.configuration.building import build_data, build_model, build_rule, task_name
from seqzoo.configuration.checking import check, check_rule
from seqzoo.configuration.cost import Cost
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.pretrained import run_folder
from seqzoo.configuration.recipe import Choice, tailored
from seqzoo.configuration.sizing import measure, within_budget
from seqzoo.configuration.stored import resumed, stored
from seqzoo.configuration.transfer import load_data, record_of, start_from_origin
from seqzoo.contracts.capabilities import ScoresTexts
from seqzoo.contracts.counting import counted
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import CheckpointError, ConfigError, TrainingError
from seqzoo.contracts.meta_device import on_meta_device
from seqzoo.contracts.options import Options, has
from seqzoo.contracts.own_parts import during, failure_of_own_part
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.sources.fingerprints import changed, records, saved_records
from seqzoo.data.splits import FILES_TO_SCORE
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.runs.ending import command_to_resume, later_end
from seqzoo.runs.finishing import empty_report, finish
from seqzoo.runs.opening_table import opening_table
from seqzoo.runs.provenance import group_name, hyperparameters
from seqzoo.training.adaptation import Adaptation, evaluate_adapting
from seqzoo.training.device import (
    available_cores,
    check_precision,
    choose_threads,
    float_type,
    make_deterministic,
    seed_everything,
    select_device,
)
from seqzoo.training.evaluation import evaluate, fit_beforehand
from seqzoo.training.interrupt import Stopped
from seqzoo.training.loop import fit
from seqzoo.training.processes import current, misfits
from seqzoo.training.record.checkpoint import Checkpoint, check_weights, continuing, fill, load_training, load_weights
from seqzoo.training.record.files import BEST, LAST, METRICS, SPEC, Metrics, read_config, read_json
from seqzoo.training.record.run import Run, format_table
from seqzoo.training.record.silent_run import SilentRun
from seqzoo.training.record.tracking import Ending
from seqzoo.training.session import Position, Session, check_progress, count_updates, is_over


class HasFinished(CheckpointError):
    """A run that was to be resumed has finished."""


LONGEST_PATH = 120
"""Maximum number of characters of a path in a message."""


def start(experiment: Experiment, folder: Path) -> Metrics:
    """Train a new run.

    Args:
        experiment: the configuration.
        folder: the run directory, which must not contain a run.

    Returns:
        The content of metrics.json.

    Raises:
        ConfigError: all errors in the configuration.
        SeqzooError: the data cannot be read, or training fails.
        Stopped: a signal ended the training.
    """
    mistakes = check(experiment)
    if mistakes:
        raise ConfigError(mistakes)
    return start_tailored(*tailored(experiment), folder)


@during(lambda: "before the first update")
def start_tailored(experiment: Experiment, choices: Sequence[Choice], folder: Path) -> Metrics:
    """`start` for a configuration that has been checked and completed by `recipe.tailored`, with its choices."""
    settings = experiment.training
    check_precision(settings.precision, select_device(settings.device))
    data = build_data(experiment)
    data.float_type = float_type(settings.precision)
    load_data(experiment, data)
    experiment = within_budget(experiment, data, data.spec)
    experiment = replace(experiment, data_files=records(data), origin=record_of(experiment))
    cost = measure(experiment, data, data.spec)
    with on_meta_device():
        model = build_model(experiment, data.spec)
    model.task.check_start(model, data)
    _check_processes(experiment, model)
    # errors up to here leave no folder behind
    with _run_class().create(folder, experiment.to_plain()) as run:
        return _train(experiment, data, run, None, cost, choices)


@during(lambda: "before the training was resumed")
def resume(folder: Path, overrides: list[str]) -> Metrics:
    """Resume a run from its last checkpoint.

    Args:
        folder: the run directory.
        overrides: of options that change when training ends or how fast it is, but not what is learned.

    Returns:
        The content of metrics.json.

    Raises:
        CheckpointError: the directory is damaged, or the run has finished.
        ConfigError: an override is invalid, or would change what is learned.
    """
    run, config = _run_class().open(folder)
    with run:
        return _resume(run, resumed(config, overrides), as_before=not overrides)


def _run_class() -> type[Run]:
    return Run if current().first else SilentRun


def _check_processes(experiment: Experiment, model: Model) -> None:
    """Raise ConfigError if several processes were started that cannot train a model together."""
    mistakes = misfits(current(), model, build_rule(experiment), experiment.choices, experiment.training.device)
    if mistakes:
        raise ConfigError(mistakes)


def _resume(run: Run, experiment: Experiment, *, as_before: bool) -> Metrics:
    folder = run.folder
    # the stored width already meets the budget
    mistakes = check(replace(experiment, budget=replace(experiment.budget, parameters=None, flops=None)))
    if mistakes:
        raise ConfigError(mistakes)
    spec = spec_from_plain(read_json(folder / SPEC)) if os.path.lexists(folder / SPEC) else None
    data, others = _load_again(experiment, spec)
    if others and not experiment.allow_changed_data:
        raise CheckpointError(
            f"{_listed(others)} changed since the run was started: restore the original, or continue with the current "
            "data by allow_changed_data=true"
        )
    last = folder / LAST
    checkpoint = load_training(last) if os.path.lexists(last) else None
    if checkpoint is None and os.path.lexists(folder / BEST):
        raise CheckpointError(
            f"there is no checkpoint {last}, which a training continues from: restore it from a copy, or train anew; "
            "evaluate and predict still work"
        )
    if checkpoint is not None:
        with continuing(last):
            check_progress(checkpoint)
    if current().count > 1:
        with on_meta_device():
            _check_processes(experiment, build_model(experiment, data.spec))
    if checkpoint is not None and checkpoint["position"]["finished"] and (folder / METRICS).exists():
        position, settings, seconds = (
            Position(**checkpoint["position"]),
            experiment.training,
            experiment.budget.seconds,
        )
        batches = data.num_batches("train", position.epoch)
        if as_before or is_over(position, settings, seconds, batches):
            later = later_end(position, settings, seconds, batches)
            raise HasFinished(
                f"{folder} has finished (update {position.step:,}): to train longer, give a later end, such as {later}"
            )
        checkpoint["position"]["finished"] = False
    return _train(experiment, data, run, checkpoint, measure(experiment, data, data.spec))


def _load_again(
    experiment: Experiment, spec: DataSpec | None, new_files: Collection[str] = ()
) -> tuple[DataModule, list[str]]:
    """Load the data of a run from the paths that it read when it was started.

    Args:
        experiment: the configuration of the run.
        spec: of its data; None: built from them.
        new_files: files by their names in the options that the run has not read.

    Returns:
        The data, and the paths of files that have changed since.
    """
    data = build_data(experiment)
    data.float_type = float_type(experiment.training.precision)
    saved = [record for record in saved_records(experiment.data_files) if record.name not in new_files]
    data.places.update({record.name: record.path for record in saved})
    if spec is None:
        load_data(experiment, data)
    else:
        results.load(data, spec)
    return data, changed(data, saved)


def _listed(paths: list[str]) -> str:
    """The first path and the number of others, as the subject of a sentence."""
    shown = paths[0] if len(paths[0]) <= LONGEST_PATH else f"...{paths[0][-LONGEST_PATH:]}"
    return shown + (f" and {len(paths) - 1} more have" if len(paths) > 1 else " has")


def _train(
    experiment: Experiment,
    data: DataModule,
    run: Run,
    checkpoint: Checkpoint | None,
    cost: Cost,
    choices: Sequence[Choice] = (),
) -> Metrics:
    """Prepare model and session, from the initial weights or a checkpoint, and train; returns the final metrics."""
    settings, rule, processes = experiment.training, build_rule(experiment), current()
    if rule.solves:  # one pass over the data gives the solution
        settings = replace(settings, epochs=1, steps=None)
    device = select_device(settings.device)
    check_precision(settings.precision, device)
    make_deterministic(settings.deterministic)
    run.write_json(SPEC, spec_to_plain(data.spec))
    seed_everything(experiment.seed)
    model = build_model(experiment, data.spec).to(float_type(settings.precision))
    mistakes = check_rule(experiment, model, data)
    if mistakes:
        raise ConfigError(mistakes)
    if checkpoint is None:
        model.load_pretrained()
        start_from_origin(experiment, model, data.spec)
        fit_beforehand(model, data)
    threads = set_threads(settings.threads, model, data.batch_size, checkpoint)
    total_steps = count_updates(data, settings)
    seconds = experiment.budget.seconds
    session = Session(model, settings, device, total_steps, seconds, rule, unit=data.unit, processes=processes)
    if checkpoint is not None:
        with continuing(run.folder / LAST):
            fill(model, checkpoint["model"], run.folder / LAST)
            session.restore(checkpoint)
        run.forget_after(session.position.step)
    processes.same_weights(model)
    processes.own_seed(experiment.seed, session.position.step)
    run.log(opening_table(run.folder, experiment, data, session, threads, cost))
    if choices:
        run.log(format_table([("recipe", str(choice)) for choice in choices]))
    return _train_to_the_end(experiment, data, run, session, threads, cost, is_resumed=checkpoint is not None)


def _train_to_the_end(
    experiment: Experiment, data: DataModule, run: Run, session: Session, threads: int, cost: Cost, *, is_resumed: bool
) -> Metrics:
    """Train a prepared session, and log how the training ended; returns the final metrics."""
    purge_step = session.position.step + 1 if is_resumed else None
    columns = hyperparameters(experiment, cost.parameters)
    run.track(columns, group_name(experiment), purge_step)
    # an interrupted run has no ending, because TensorBoard keeps the first ending that it reads
    ending: Ending | None = None
    try:
        with _memory_advice(), during(lambda: f"after update {session.position.step:,}"):
            if not is_resumed:
                run.save(session)
            fit(session, data, run)
            metrics = finish(run, experiment, data, session, threads, cost)
        ending = "success"
        return metrics
    except Stopped:
        run.log(
            f"stopped and saved after update {session.position.step:,}; to resume:\n"
            f"    {command_to_resume(run.folder, experiment)}"
        )
        raise
    except Exception as error:
        run.log_error(error)
        if failure_of_own_part(error) is not None:
            run.log(
                f"to resume from the last checkpoint, once the error is fixed:\n"
                f"    {command_to_resume(run.folder, experiment)}"
            )
        raise
    finally:
        run.end_tracking(ending)


def set_threads(threads: int | str, model: Model, rows: int, checkpoint: Checkpoint | None) -> int:
    """Set the number of threads. A resumed run keeps its number, because it affects the rounding of sums."""
    if threads == "auto" and checkpoint is not None:
        threads = checkpoint["threads"] if current().count == 1 else min(checkpoint["threads"], available_cores())
    if threads == "auto":
        threads = choose_threads(model.backbone, rows)
    torch.set_num_threads(int(threads))
    return int(threads)


def _with_files(config: Options, files: Mapping[str, str]) -> Options:
    """The options of the data of a run that reads these files, whole, instead of folds and of what it held out."""
    for option in files:
        if not has(config, f"data.{option}"):
            known = [f"data.{name}" for name in FILES_TO_SCORE if has(config, f"data.{name}")]
            advice = f"give {' or '.join(known)}" if known else "its data are not read from files"
            raise ConfigError([f"the data of this run have no option data.{option}: {advice}"])
    values: dict[str, str | int | None] = {f"data.{option}": name for option, name in files.items()}
    for option, value in (("limit", None), ("folds", None), ("fold", 0)):
        if has(config, f"data.{option}"):
            values[f"data.{option}"] = value
    return values


def evaluate_run(
    folder: Path,
    split: str | None,
    settings: Options,
    allow_modules: list[str],
    adaptation: Options | None = None,
    files: Mapping[str, str] | None = None,
) -> tuple[str, Metrics]:
    """The scores of the best weights of a run on one split and, for tasks that predict classes, a "report".

    Args:
        folder: the run directory, which is not changed, or `pretrained:NAME`.
        split: name of the split; None: that of `files`; else test or, without a test split, validation.
        settings: options of training, such as device and threads.
        allow_modules: user-defined modules that the run may use.
        adaptation: options of `Adaptation` for language models, whose scores are added.
        files: new files to score, by the options of the data that name them, such as {"test": "new.csv"}.

    Returns:
        The name of the split and the scores.

    Raises:
        ConfigError: the data has no such split, or an option is invalid.
        CheckpointError: the run directory is damaged.
    """
    try:
        adapts = Adaptation(**(adaptation or {}))
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    folder = run_folder(folder)
    config = read_config(folder)
    changes = {f"training.{option}": value for option, value in settings.items()}
    if files:
        changes |= _with_files(config, files)
        split = split or next(iter(files)).partition("_")[0]
    experiment = stored(config, {"allow_modules": allow_modules, **changes})
    training = experiment.training
    device = select_device(training.device)
    check_precision(training.precision, device)
    spec = spec_from_plain(read_json(folder / SPEC))
    data, others = _load_again(experiment, spec, new_files=(files or {}).values())
    if others:
        warning = f"seqzoo: {_listed(others)} changed since the run was started: the scores are for the current data"
        print(warning, file=sys.stderr)
    split = _split_to_score(data, split)
    if files:
        names = " and ".join(files.values())
        size = counted(data.splits()[split], "example")
        print(f"seqzoo: scores of {names} as {split} split: {size}", file=sys.stderr)
    model = best_model(experiment, data, folder)
    if adapts.name and not isinstance(model.task, ScoresTexts):
        named = task_name(model.task, experiment.choices)
        raise ConfigError([f"cache and dynamic are for tasks that predict the next token, and {named} does not"])
    set_threads(training.threads, model, data.batch_size, None)
    report = empty_report(model)
    with during(lambda: f"while the {split} split was scored"):
        scores = evaluate(model.to(device), data, split, device, training.precision, report)
    if adapts.name:
        scores |= evaluate_adapting(model, data, split, device, training.precision, adapts)
    return split, scores if report is None else {**scores, "report": report.to_plain()}


def _split_to_score(data: DataModule, split: str | None) -> str:
    """The split that was asked for or, without one, test or validation. Raises ConfigError if there is none."""
    if split is None and "test" not in data.splits():
        print(
            "seqzoo: the data of this run have no test split: these are the scores of the validation split",
            file=sys.stderr,
        )
        return "validation"
    if split is not None and split not in data.splits():
        raise ConfigError(
            [f"split is {split!r}: the data of this run has {', '.join(data.splits())}; choose one by split="]
        )
    return split or "test"


def best_model(experiment: Experiment, data: DataModule, folder: Path) -> Model:
    """The model of a run with its best weights, whose shapes are checked before memory is allocated."""
    with on_meta_device():
        check_weights(folder / BEST, build_model(experiment, data.spec).to(data.float_type))
    model = build_model(experiment, data.spec).to(data.float_type)
    load_weights(folder / BEST, model)
    return model


@contextmanager
def _memory_advice() -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        if type(error) is RuntimeError and "can't allocate memory" not in text and "out of memory" not in text.lower():
            raise
        raise TrainingError(
            "the batch does not fit into memory: lower data.batch_size or data.max_tokens (for running text "
            "data.window), or backbone.hidden_size; the last checkpoint is kept"
        ) from error
