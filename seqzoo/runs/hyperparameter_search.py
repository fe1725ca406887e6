"""Hyperparameter search with Optuna. Each trial is an ordinary run in a separate process; it is pruned if its
validation score is worse than the median of the other trials at the same update.

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
"""Seconds between two reads of a validation curve."""
UNDISTURBED = 4
"""Number of completed trials before any trial is pruned."""


class Space(NamedTuple):
    """The search space of an option.

    Attributes:
        values: overrides that are checked before the first trial: all choices, or the ends of an interval.
        ask: samples an override for a trial.
    """

    values: list[str]
    ask: Callable[[Trial], str]


class Goal(NamedTuple):
    """The metric that selects checkpoints.

    Attributes:
        name: of the metric.
        tag: name of its curve.
        higher_is_better: whether it is maximised.
    """

    name: str
    tag: str
    higher_is_better: bool


def search(overrides: list[str], trials: int, folder: Path, seed: int = 0) -> None:
    """Run trials until the folder has the given number, and print the best one; interrupted trials are resumed first.

    Args:
        overrides: as in a sweep, also with intervals: `training.learning_rate=tag(log, interval(1e-4, 1e-1))`.
        trials: total number of trials in the folder.
        folder: output directory; several processes may share it.
        seed: random seed of the sampler.

    Raises:
        ConfigError: all errors in the overrides.
        SeqzooError: no trial was completed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError([f"a search needs {not_installed('optuna')}"]) from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed, searched = spaces(overrides)
    goal = goal_of(fixed, searched)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="search",
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        load_if_exists=True,
        direction="maximize" if goal.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),  # for parallel processes
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNDISTURBED),
    )
    running = optuna.trial.TrialState.RUNNING
    for begun in study.get_trials(states=[running]):
        with lock(folder / f".trial={begun.number}.lock") as free:
            # read again under the lock, because another process may have changed the trial
            current = study.get_trials(deepcopy=False)[begun.number]
            if free and current.state == running and "job" in current.user_attrs:
                _run(study, optuna.Trial(study, current._trial_id), current.user_attrs["job"], folder, goal)
    while True:
        with ExitStack() as held:
            with lock(folder / ".ask.lock", wait=True):
                if len(study.get_trials(deepcopy=False)) >= trials:
                    break
                trial = study.ask()
                held.enter_context(lock(folder / f".trial={trial.number}.lock", wait=True))
            job = [*fixed, *(space.ask(trial) for space in searched)]
            trial.set_user_attr("job", job)
            _run(study, trial, job, folder, goal)
    if not study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        raise SeqzooError(f"no trial in {folder} could be finished; trial=*.log there say why")
    best = study.best_trial
    command = f"{program('seqzoo')} {shlex.join(['train', *composing.config_dir_arguments(), *best.user_attrs['job']])}"
    print(f"\nbest of {len(study.trials)}: trial {best.number}, {goal.name} {best.value:.4f}\n\n{command}")


def spaces(overrides: list[str]) -> tuple[list[str], list[Space]]:
    """The fixed overrides, and a space for each option with several values."""
    fixed, searched = [], []
    for text in overrides:
        override = sweeps.sweeping(text)
        if override is None:
            fixed.append(text)
        elif override.is_interval_sweep():
            searched.append(_interval(override.get_key_element(), override.value()))
        else:
            searched.append(_choice(override.get_key_element(), sweeps.values(text)))
    if not searched:
        raise ConfigError(["there is nothing to search: give an option several values, such as cell=lstm,gru"])
    return fixed, searched


def _choice(option: str, values: list[str]) -> Space:
    return Space(values, lambda trial: trial.suggest_categorical(option, values))


def _interval(option: str, interval: Any) -> Space:
    low, high, log = interval.start, interval.end, "log" in interval.tags
    ends = [f"{option}={low}", f"{option}={high}"]
    if isinstance(low, int) and isinstance(high, int):
        return Space(ends, lambda trial: f"{option}={trial.suggest_int(option, low, high, log=log)}")
    return Space(ends, lambda trial: f"{option}={trial.suggest_float(option, low, high, log=log):.4g}")


def goal_of(fixed: list[str], searched: list[Space]) -> Goal:
    """The metric to optimise. Raises ConfigError with all errors in fixed overrides and values of spaces."""
    from seqzoo.configuration.experiment import compose
    from seqzoo.configuration.overrides import examine
    from seqzoo.configuration.sizing import outline

    first = [*fixed, *(space.values[0] for space in searched)]
    mistakes: dict[str, None] = {}
    for value in itertools.chain.from_iterable(space.values for space in searched):
        mistakes |= dict.fromkeys(examine(*first, value)[1])
    if mistakes:
        raise ConfigError(mistakes)
    metric = outline(compose(*first)).model.task.metrics()[0]
    return Goal(metric.name, f"valid/{'loss' if metric.name == 'loss_nats' else metric.name}", metric.higher_is_better)


def _run(study: Study, trial: Trial, job: list[str], folder: Path, goal: Goal) -> None:
    """Start or resume a trial and follow it until it ends or is pruned."""
    from optuna.trial import TrialState

    run, label = folder / f"trial={trial.number}", f"trial {trial.number}: {shlex.join(job)}"
    if not (run / METRICS).exists():
        pruned = follow(start(job, run), run, goal.tag, trial)
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
            print(f"{label}: pruned at update {pruned:,}, where it is worse than the median of the others", flush=True)
            return
    scores = [point[goal.tag] for point in read_curves(run) if goal.tag in point]
    if not (run / METRICS).exists() or not scores:
        study.tell(trial, state=TrialState.FAIL)
        print(f"{label}: failed, see {run}.log", flush=True)
        return
    best = (max if goal.higher_is_better else min)(scores)
    study.tell(trial, best)
    print(f"{label}: {goal.name} {best:.4f}", flush=True)


def start(job: list[str], run: Path) -> subprocess.Popen:
    """Start or resume training in a separate process; its output goes to a file beside the run directory."""
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
    """Report the points of the validation curve to the trial until the process ends.

    Returns:
        0, or the update at which the trial was pruned.
    """
    num_reported, ended = 0, False
    while not ended:
        try:
            process.wait(LOOK)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        except KeyboardInterrupt:  # the training process receives it, too, and saves a checkpoint
            process.wait()
            raise
        points = [point for point in read_curves(run) if tag in point]
        for point in points[num_reported:]:
            trial.report(point[tag], int(point["step"]))
        num_reported = len(points)
        if not ended and points and trial.should_prune():
            process.send_signal(signal.SIGTERM)
            process.wait()
            return int(points[-1]["step"])
    return 0
