"""A search for good options by Optuna. A trial is an ordinary run in a process of its own, and its validation curve is
followed: one that is worse than the middle of the others was at the same update is stopped.

Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, 2019, https://arxiv.org/abs/1907.10902
"""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqzoo.configuration import composing, sweeps
from seqzoo.contracts import disk
from seqzoo.contracts.errors import ConfigError, SeqzooError, not_installed, program
from seqzoo.contracts.locks import lock
from seqzoo.training.record.files import CONFIG, METRICS, read_curves

if TYPE_CHECKING:
    from optuna import Study, Trial

JOURNAL = "search.journal"
LOOK = 1.0
"""Seconds between two looks at a curve."""
UNDISTURBED = 4
"""So many trials end by themselves before one is stopped."""


class Space(NamedTuple):
    """values: overrides that are checked before the first trial; ask: a trial for one of them, or for one between."""

    values: list[str]
    ask: Callable[[Trial], str]


class Goal(NamedTuple):
    """The metric that picks checkpoints; tag: of its curve."""

    name: str
    tag: str
    higher_is_better: bool


def search(overrides: list[str], trials: int, folder: Path, seed: int = 0) -> None:
    """Run trials until there are so many in the folder, and say which was best; those that were cut go on first.

    overrides: as of a sweep, with intervals: `training.learning_rate=tag(log, interval(1e-4, 1e-1))`.
    Raises ConfigError with every mistake in them, SeqzooError where no trial could be finished.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError([f"a search needs {not_installed('optuna')}"]) from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed, found = spaces(overrides)
    goal = goal_of(fixed, found)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="search",
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        load_if_exists=True,
        direction="maximize" if goal.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),  # that others search beside it is known
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNDISTURBED),
    )
    running = optuna.trial.TrialState.RUNNING
    for begun in study.get_trials(states=[running]):
        with lock(folder / f".trial={begun.number}.lock") as free:
            # only who has the lock changes a trial, so that what was read before may be old
            now = study.get_trials(deepcopy=False)[begun.number]
            if free and now.state == running and "job" in now.user_attrs:
                _run(study, optuna.Trial(study, now._trial_id), now.user_attrs["job"], folder, goal)
    while True:
        with ExitStack() as held:
            with lock(folder / ".ask.lock", wait=True):
                if len(study.get_trials(deepcopy=False)) >= trials:
                    break
                trial = study.ask()
                held.enter_context(lock(folder / f".trial={trial.number}.lock", wait=True))
            job = [*fixed, *(space.ask(trial) for space in found)]
            trial.set_user_attr("job", job)
            _run(study, trial, job, folder, goal)
    if not study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        raise SeqzooError(f"no trial in {folder} could be finished; trial=*.log there say why")
    best = study.best_trial
    command = f"{program('seqzoo')} {shlex.join(['train', *composing.config_dir_arguments(), *best.user_attrs['job']])}"
    print(f"\nbest of {len(study.trials)}: trial {best.number}, {goal.name} {best.value:.4f}\n\n{command}")


def spaces(overrides: list[str]) -> tuple[list[str], list[Space]]:
    """What is fixed, and a space for each option with several values."""
    fixed, found = [], []
    for text in overrides:
        override = sweeps.sweeping(text)
        if override is None:
            fixed.append(text)
        elif override.is_interval_sweep():
            found.append(_interval(override.get_key_element(), override.value()))
        else:
            found.append(_choice(override.get_key_element(), sweeps.values(text)))
    if not found:
        raise ConfigError(["there is nothing to search: give an option several values, such as cell=lstm,gru"])
    return fixed, found


def _choice(option: str, values: list[str]) -> Space:
    return Space(values, lambda trial: trial.suggest_categorical(option, values))


def _interval(option: str, interval: Any) -> Space:
    low, high, log = interval.start, interval.end, "log" in interval.tags
    ends = [f"{option}={low}", f"{option}={high}"]
    if isinstance(low, int) and isinstance(high, int):
        return Space(ends, lambda trial: f"{option}={trial.suggest_int(option, low, high, log=log)}")
    return Space(ends, lambda trial: f"{option}={trial.suggest_float(option, low, high, log=log):.4g}")


def goal_of(fixed: list[str], found: list[Space]) -> Goal:
    """Raises ConfigError with every mistake in what is fixed and in the values of each space."""
    from seqzoo.configuration.experiment import compose
    from seqzoo.configuration.overrides import examine
    from seqzoo.configuration.sizing import outline

    first = [*fixed, *(space.values[0] for space in found)]
    mistakes: dict[str, None] = {}
    for value in itertools.chain.from_iterable(space.values for space in found):
        mistakes |= dict.fromkeys(examine(*first, value)[1])
    if mistakes:
        raise ConfigError(mistakes)
    metric = outline(compose(*first)).model.task.metrics()[0]
    return Goal(metric.name, f"valid/{'loss' if metric.name == 'loss_nats' else metric.name}", metric.higher_is_better)


def _run(study: Study, trial: Trial, job: list[str], folder: Path, goal: Goal) -> None:
    """One trial, from its beginning or from where it was cut, until it ends or is stopped."""
    from optuna.trial import TrialState

    run, told = folder / f"trial={trial.number}", f"trial {trial.number}: {shlex.join(job)}"
    if not (run / METRICS).exists():
        pruned = follow(start(job, run), run, goal.tag, trial)
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
            print(f"{told}: stopped at update {pruned:,}, worse than the middle of the others", flush=True)
            return
    scores = [point[goal.tag] for point in read_curves(run) if goal.tag in point]
    if not (run / METRICS).exists() or not scores:
        study.tell(trial, state=TrialState.FAIL)
        print(f"{told}: failed, see {run}.log", flush=True)
        return
    best = (max if goal.higher_is_better else min)(scores)
    study.tell(trial, best)
    print(f"{told}: {goal.name} {best:.4f}", flush=True)


def start(job: list[str], run: Path) -> subprocess.Popen:
    """A training, or its continuation, in a process of its own; what it says goes to a file beside the run."""
    begun = (run / CONFIG).exists()
    chosen = (
        [f"resume={run}", *composing.allowances(job)]
        if begun
        else [*job, "hydra.run.dir='" + str(run).replace("'", r"\'") + "'"]
    )
    with disk.open_to_update(Path(f"{run}.log")) as log:
        log.seek(0, os.SEEK_END)
        command = [sys.executable, "-m", "seqzoo", "train", *composing.config_dir_arguments(), *chosen]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def follow(process: subprocess.Popen, run: Path, tag: str, trial: Trial) -> int:
    """Tell the trial of each point of the curve, until the process ends: 0, or the update at which it was stopped for
    being worse than the others.
    """
    told, ended = 0, False
    while not ended:
        try:
            process.wait(LOOK)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        except KeyboardInterrupt:  # which the training has got, too: it saves itself
            process.wait()
            raise
        points = [point for point in read_curves(run) if tag in point]
        for point in points[told:]:
            trial.report(point[tag], int(point["step"]))
        told = len(points)
        if not ended and points and trial.should_prune():
            process.send_signal(signal.SIGTERM)
            process.wait()
            return int(points[-1]["step"])
    return 0
