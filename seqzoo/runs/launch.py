"""Single runs and sweeps with Hydra, which names run directories and starts jobs.

A sweep is identified by its fixed and its varied options. Started again, it skips finished jobs, resumes interrupted
ones and retries failed ones; with more values of the varied options, it adds their jobs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from seqzoo.configuration import composing, registry, sweeps
from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.errors import ConfigError, SeqzooError, not_installed, program
from seqzoo.contracts.locks import least_used
from seqzoo.contracts.options import unquoted
from seqzoo.contracts.own_parts import failure_of_own_part
from seqzoo.runs.ledger import Entry, Ledger
from seqzoo.runs.provenance import fingerprint
from seqzoo.training.record.files import CONFIG, METRICS, Metrics, read_json

if TYPE_CHECKING:
    from seqzoo.configuration.experiment import Experiment
    from seqzoo.configuration.recipe import Choice

LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")
LONGEST_NAME = 80
T = TypeVar("T")


class Sweep(NamedTuple):
    """A sweep that has ended.

    Attributes:
        folder: its folder, which contains the run directories.
        num_jobs: number of jobs.
        entries: the entries of the ledger for all jobs that were started.
    """

    folder: Path
    num_jobs: int
    entries: list[Entry]

    def with_status(self, status: str) -> list[Entry]:
        """The entries with this status."""
        return [entry for entry in self.entries if entry.status == status]

    def raise_failed(self) -> None:
        """Raise SeqzooError if jobs failed, with the reason and the command of each."""
        failed = self.with_status("failed")
        if failed:
            seqzoo = program("seqzoo")
            lines = "\n".join(
                f"  {entry.folder}: {entry.reason}\n    {seqzoo}{entry.command.removeprefix('seqzoo')}"
                for entry in failed
            )
            raise SeqzooError(f"{len(failed)} of {self.num_jobs} jobs failed; why, and how to run one alone:\n{lines}")


def launch(flags: list[str], overrides: list[str]) -> Sweep | None:
    """Train one run or, with -m among the flags, all runs of a sweep.

    Args:
        flags: arguments that begin with a dash.
        overrides: the other arguments.

    Returns:
        The sweep, with an entry for each job, also for failed ones; None after a single run.

    Raises:
        ConfigError: all errors in the overrides of a single run; for a sweep, errors in names, options and values of
            any job, before the first run.
        SeqzooError: a single run fails.
    """
    if "-m" not in flags and "--multirun" not in flags:
        if flags:  # Hydra handles its other flags
            single = _Single(None)
            _run_hydra(single, flags, overrides)
            until_stopped(single.check)
        else:
            until_stopped(lambda: train_one(overrides))
        return None
    given = [text.partition("=")[2] for text in overrides if text.startswith("hydra.sweep.dir=")]
    if given and "${" in given[-1]:
        raise ConfigError([f"hydra.sweep.dir is {given[-1]!r}: a sweep that can be started again has a fixed folder"])
    _check_launcher(overrides)
    jobs = _parsed_jobs(overrides)
    sweep = Path(given[-1]) if given else Path("runs", "sweeps", sweep_name(overrides))
    rest = [text for text in overrides if not text.startswith("hydra.sweep.dir=")]
    job = _Job(sweep, sweeps.varied(*rest), registry.own_config_dirs(), jobs)
    try:
        _run_hydra(job, flags, [*rest, "hydra.sweep.dir='" + str(sweep).replace("'", r"\'") + "'"])
    except (SystemExit, KeyboardInterrupt):
        print("seqzoo: the sweep is not finished; the same command resumes it", file=sys.stderr)
        raise
    entries = [Ledger(sweep).read(fingerprint(experiment)) for experiment in jobs]
    return Sweep(sweep, len(jobs), [entry for entry in entries if entry is not None])


class FinishedRun(NamedTuple):
    """A finished run.

    Attributes:
        folder: the run directory.
        metrics: the content of `metrics.json`: scores of each split by name, sizes, times and versions.
    """

    folder: Path
    metrics: Metrics


def train_one(overrides: Sequence[str]) -> FinishedRun:
    """Train one run in the directory that Hydra names.

    Args:
        overrides: of the configuration.

    Raises:
        ConfigError: all errors in the overrides.
        SeqzooError: the data cannot be read, or training fails.
        Stopped: a signal ended the training.
    """
    from seqzoo.configuration.overrides import examine
    from seqzoo.configuration.recipe import tailored
    from seqzoo.runs.lifecycle import start_tailored
    from seqzoo.training.processes import joined, remember, remembered

    with joined() as processes:
        # a run that torchrun has started before
        folder = processes.from_first(remembered(overrides) if processes.first else None)
        if folder is not None and processes.from_first((folder / CONFIG).exists()):
            return FinishedRun(folder, _resume_or_read(folder, composing.allowances(overrides)))
        experiment, mistakes = examine(*overrides)
        if experiment is None or mistakes:
            raise ConfigError(mistakes)
        completed, choices = tailored(experiment)
        if not processes.first:
            folder = processes.from_first(Path())
            return FinishedRun(folder, start_tailored(completed, choices, folder))

        def announce(folder: Path) -> None:
            remember(folder, overrides)
            processes.from_first(folder)

        single = _Single(completed, choices, announce)
        # the name of the folder tells the backbone that is trained; that of the run that it starts from was not chosen
        chosen = experiment.choices if experiment.init is None else {}
        names = [
            f"{group}={name}"
            for group, name in completed.choices.items()
            if chosen.get(group) != name and name in registry.names(group)
        ]
        _run_single(single, [*overrides, *names])
        single.check()
        return single.run


def resume_one(folder: Path, overrides: Sequence[str]) -> FinishedRun:
    """Resume a run.

    Args:
        folder: the run directory.
        overrides: of options that may change, as of `lifecycle.resume`.

    Raises:
        CheckpointError, ConfigError, SeqzooError, Stopped: as of `lifecycle.resume`.
    """
    from seqzoo.runs.lifecycle import resume
    from seqzoo.training.processes import joined, remember, remembered

    key = [f"resume={folder}", *overrides]
    with joined() as processes:
        if processes.from_first(processes.first and remembered(key) is not None):
            return FinishedRun(folder, _resume_or_read(folder, overrides))
        if processes.first:
            remember(folder, key)
        return FinishedRun(folder, resume(folder, list(overrides)))


def _resume_or_read(folder: Path, overrides: Sequence[str]) -> Metrics:
    """Resume a run after a failure that may have occurred after its end; returns the final metrics."""
    from seqzoo.runs.lifecycle import HasFinished, resume

    try:
        return resume(folder, list(overrides))
    except HasFinished:
        return read_json(folder / METRICS)


class _Single:
    """The job function of a single run. It stores exceptions, because Hydra would print their tracebacks.

    Args:
        experiment: the checked and completed configuration; None: it is composed, checked and completed here.
        choices: of its recipe.
        announce: is called with the run directory before anything is written.

    Attributes:
        run: the finished run, after a successful training.
        error: the exception that ended it otherwise.
    """

    run: FinishedRun
    error: Exception | None = None

    def __init__(
        self,
        experiment: Experiment | None,
        choices: Sequence[Choice] = (),
        announce: Callable[[Path], None] = lambda folder: None,
    ):
        self.experiment, self.choices, self.announce = experiment, choices, announce

    def __call__(self, _: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        from seqzoo.configuration.experiment import compose
        from seqzoo.runs.lifecycle import start, start_tailored

        about = HydraConfig.get()
        folder = Path(about.runtime.output_dir)
        try:
            self.announce(folder)
            if self.experiment is not None:
                metrics = start_tailored(self.experiment, self.choices, folder)
            else:
                metrics = start(compose(*about.overrides.task), folder)
            self.run = FinishedRun(folder, metrics)
        except Exception as error:
            self.error = error
        finally:
            _remove_empty(folder)

    def check(self) -> None:
        """Raise the stored exception, if there is one."""
        if self.error is not None:
            raise self.error


def _remove_empty(folder: Path) -> None:
    """Remove the folder that Hydra created if it is empty, and empty folders above it up to the current one."""
    current = Path.cwd()
    with contextlib.suppress(OSError):  # it is not empty
        folder.rmdir()
        for above in folder.parents:
            if above == current or current not in above.parents:
                return
            above.rmdir()


class _Job:
    """The job function of a sweep, which may run in a separate process; its status is written to the ledger.

    Args:
        sweep: folder of the sweep.
        varied: the options that the sweep varies.
        config_dirs: user-defined folders with the structure of conf/.
        jobs: the configurations of all jobs.
    """

    def __init__(self, sweep: Path, varied: list[str], config_dirs: list[Path], jobs: Sequence[Experiment]):
        self.sweep, self.varied, self.config_dirs = sweep, varied, config_dirs
        self.parsed = {tuple(experiment.overrides): experiment for experiment in jobs}

    def __getstate__(self) -> dict[str, Any]:
        """Another process parses its job itself, instead of receiving all of them."""
        return {**vars(self), "parsed": {}}

    def __call__(self, _: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        from seqzoo.configuration.experiment import compose

        for folder in self.config_dirs:
            registry.use_config_dir(folder)
        chosen = list(HydraConfig.get().overrides.task)
        ledger = Ledger(self.sweep)
        command = shlex.join(["seqzoo", "train", *composing.config_dir_arguments(), *chosen])
        experiment = self.parsed.get(tuple(chosen)) or compose(*chosen)
        key = fingerprint(experiment)
        with ledger.lock(key) as free:
            entry = ledger.read(key)
            name = entry.folder if entry is not None else self._new_folder(chosen, key)
            finished = (self.sweep / name / METRICS).exists()
            if not free or (finished and entry is not None and entry.status == "done"):
                print(f"{'done before' if free else 'runs in another process'}: {shlex.join(chosen)}", flush=True)
                return
            ledger.write(key, Entry("running", name, command))
            try:
                if finished:  # it was interrupted after it had finished, before the ledger was written
                    metrics = read_json(self.sweep / name / METRICS)
                else:
                    # the output of runs is only in their train.log
                    with exclusive_gpu(), redirect_stdout(io.StringIO()):
                        metrics = _start_or_resume(experiment, self.sweep / name)
                ledger.write(key, Entry("done", name, command))
                print(f"{name}: {_result(metrics)}", flush=True)
            except Exception as error:  # one failed job must not end the others
                reason, details = _reason(error)
                ledger.write(key, Entry("failed", name, command, reason, details))
                print(f"seqzoo: {shlex.join(chosen)} failed: {reason}", file=sys.stderr, flush=True)

    def _new_folder(self, chosen: list[str], key: str) -> str:
        """The name of a run directory, after the varied options; with a digest if another sweep has used the name."""
        name = job_name(chosen, self.varied)
        return f"{name}-{key[:8]}" if (self.sweep / name).exists() else name


def _reason(error: Exception) -> tuple[str, str]:
    """Why a job failed, in one line, and the traceback of an unexpected error."""
    if isinstance(error, SeqzooError):
        return " ".join(str(error).split()), ""
    failure = failure_of_own_part(error)
    reason = f"{type(error).__name__}: {error}".splitlines()[0] if failure is None else failure.sentence
    return reason, traceback.format_exc()


@contextmanager
def exclusive_gpu() -> Iterator[None]:
    """A context that selects the GPU with the fewest other jobs of this user, if there are several GPUs."""
    import torch

    gpus = [str(number) for number in range(torch.cuda.device_count())]
    if len(gpus) < 2:
        yield
        return
    with least_used(gpus, user_cache("gpus")) as gpu, torch.cuda.device(int(gpu)):
        yield


def _result(metrics: Metrics) -> str:
    """The scores and the time of a finished run in one line."""
    from seqzoo.training.record.run import format_number, format_seconds

    split = "test" if "test" in metrics else "validation"
    scores = ", ".join(f"{name} {format_number(value)}" for name, value in metrics[split].items())
    return f"{split} {scores}, trained in {format_seconds(metrics['seconds'])}"


def _start_or_resume(experiment: Experiment, folder: Path) -> Metrics:
    """Start a run, or resume it if it was interrupted; returns the final metrics."""
    from seqzoo.runs.lifecycle import resume, start

    if (folder / CONFIG).exists():
        return until_stopped(lambda: resume(folder, composing.allowances(experiment.overrides)))
    return until_stopped(lambda: start(experiment, folder))


def until_stopped(work: Callable[[], T]) -> T:
    """Call a training function; if a signal ended it, exit with the status of that signal."""
    from seqzoo.training.interrupt import Stopped

    try:
        return work()
    except Stopped as stopped:
        sys.exit(128 + stopped.signal_number)


def take_resume(overrides: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The run directory to resume, if any, and the other overrides.

    Args:
        overrides: all overrides.

    Raises:
        ConfigError: `resume=` has no value, for example because of an unset shell variable.
    """
    chosen = [unquoted(override.partition("=")[2]) for override in overrides if override.startswith("resume=")]
    rest = [override for override in overrides if not override.startswith("resume=")]
    if "" in chosen:
        raise ConfigError(["resume= has no value: give the run directory to continue, as in resume=runs/my_run"])
    return (Path(chosen[-1]) if chosen and chosen[-1] != "null" else None), rest


def sweep_name(overrides: list[str]) -> str:
    """The name of a sweep, from its fixed options and the names of the varied ones; more values do not change it."""
    varied = sorted(sweeps.varied(*overrides))
    fixed = sorted(text for text in overrides if text.partition("=")[0].lstrip("+~") not in varied)
    fixed = [text for text in fixed if not text.startswith(("hydra.", "hydra/"))]
    chosen = [text.partition("=")[2] for group in registry.GROUPS for text in fixed if text.startswith(f"{group}=")]
    digest = hashlib.sha256("\n".join([*fixed, "", *varied]).encode()).hexdigest()[:6]
    return _short("_".join([*chosen, "by", *(key.rpartition(".")[2] for key in varied), digest]))


def job_name(chosen: list[str], varied: list[str]) -> str:
    """The name of a job from the options that the sweep varies, such as "cell=gru,seed=0"."""
    pairs = [text.partition("=") for text in chosen]
    return _short(",".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs if key in varied) or "job")


def _short(text: str) -> str:
    """A text as the name of a folder; if it has to be changed or shortened, a digest is appended."""
    clean = re.sub(r"[^\w=.,+-]+", "_", text)
    if clean == text and len(text) <= LONGEST_NAME:
        return text
    return f"{clean[: LONGEST_NAME - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _check_launcher(overrides: list[str]) -> None:
    """Raise ConfigError if the package of a launcher is not installed."""
    for name in (text.removeprefix("hydra/launcher=") for text in overrides if text.startswith("hydra/launcher=")):
        package = f"hydra-{name.partition('_')[0]}-launcher"
        if name in LAUNCHERS and not list(importlib.metadata.distributions(name=package)):
            raise ConfigError([f"hydra/launcher={name} needs {not_installed(package)}"])


def _parsed_jobs(overrides: list[str]) -> list[Experiment]:
    """The configurations of the jobs of a sweep. Combinations of components that do not work are not errors here; only
    their jobs fail.

    Raises:
        ConfigError: errors in names, options and values, each with the first job that has it.
    """
    from seqzoo.configuration.experiment import compose

    mistakes: dict[str, list[str]] = {}
    parsed = []
    jobs = sweeps.jobs(*overrides)
    for job in jobs:
        try:
            parsed.append(compose(*job))
        except ConfigError as error:
            for mistake in error.mistakes:
                mistakes.setdefault(mistake, job)
    if mistakes:
        with_jobs = [f"{mistake} (in {shlex.join(job)})" for mistake, job in mistakes.items()]
        raise ConfigError(with_jobs if len(jobs) > 1 else mistakes)
    return parsed


def _run_single(single: _Single, overrides: list[str]) -> None:
    """`_run_hydra` for one run without flags, whose overrides have been checked. It does not compose again, which takes
    Hydra a tenth of a second.

    Raises:
        ConfigError: the run directory cannot be created.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf.errors import OmegaConfBaseException

    config = composing.for_hydra(*overrides)
    with initialize_config_dir(str(registry.CONF_DIR), job_name="seqzoo train", version_base="1.3"):
        hydra: Any = GlobalHydra.instance().hydra
        hydra.config_loader = SimpleNamespace(load_configuration=lambda **_: config)
        try:
            hydra.run("config", single, [])
        except (OmegaConfBaseException, FileExistsError, NotADirectoryError, PermissionError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).splitlines()[0]
            raise ConfigError([f"hydra.run.dir: {reason}"]) from error


def _run_hydra(job: Any, flags: list[str], overrides: list[str]) -> None:
    import hydra

    given = sys.argv
    sys.argv = ["seqzoo train", *flags, *overrides, *registry.search_path()]
    try:
        hydra.main(version_base="1.3", config_path=str(registry.CONF_DIR), config_name="config")(job)()
    finally:
        sys.argv = given
