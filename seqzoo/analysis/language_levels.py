"""What a cell computes: formal languages, learned on short inputs and scored on longer ones, by level of the Chomsky
hierarchy (Deletang et al., Neural Networks and the Chomsky Hierarchy, 2023, https://arxiv.org/abs/2207.02098).

Each attempt is a run of `seqzoo train` with the overrides below, so that it can be repeated on its own.
"""

from __future__ import annotations

import io
import math
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqzoo.analysis.result_tables import write_table
from seqzoo.configuration.experiment import Experiment, compose
from seqzoo.configuration.stored import stored
from seqzoo.contracts.errors import ConfigError, TrainingError, closest
from seqzoo.data.generated.language_table import LANGUAGES
from seqzoo.runs.lifecycle import resume, start
from seqzoo.runs.provenance import fingerprint
from seqzoo.training.record.files import CONFIG, METRICS, read_config, read_json

TABLE = "languages.csv"
COLUMNS = ("cell", "language", "level", "seed", "accuracy", "solved", "updates", "seconds", "command")
SOLVED = 0.9
"""A language is solved, as in the paper, if the accuracy on longer inputs is at least this."""
LEVELS = ("regular", "context-free", "context-sensitive")
"""The levels of the Chomsky hierarchy, each of which contains the one before it."""
OTHERS = ("group", "recall")

COMMON = [
    "task=tagging", "task.metrics=[row_accuracy]", "data=formal_language", "encoder.initial_std=1",
    "backbone.hidden_size=64", "training.epochs=null", "training.steps=6000", "training.validate_every=500",
    "training.learning_rate=0.003", "training.warmup_steps=100", "training.weight_decay=0", "training.examples=0",
    "training.diagnostics=0", "training.device=cpu", "training.threads=1", "recipe=none",
]  # fmt: skip
MEMORY = "memory_size"
"""The option of cells with an external memory, which is as large as the longest input needs."""


@dataclass(frozen=True)
class Attempt:
    """The result of one training.

    Args:
        cell: name of the cell.
        language: name of the language.
        seed: of the run.
        accuracy: on longer inputs, per token of an answer, averaged over inputs; NaN if the training diverged.
        updates: number of updates.
        seconds: CPU time of the training.
        command: the command that repeats it.
    """

    cell: str
    language: str
    seed: int
    accuracy: float
    updates: int
    seconds: float
    command: str

    @property
    def level(self) -> str:
        """The level of the language."""
        return LANGUAGES[self.language].level

    @property
    def solved(self) -> bool:
        """Whether the accuracy is at least SOLVED."""
        return self.accuracy >= SOLVED

    def __str__(self) -> str:
        verdict = "solved" if self.solved else "not solved"
        return f"{self.language:27}  seed {self.seed}  accuracy {self.accuracy:.3f}  {self.seconds:5.1f} s  {verdict}"


def chosen_languages(names: Sequence[str]) -> list[str]:
    """The languages of a list of languages and levels; all of them if it is empty.

    Raises:
        ConfigError: there is no such language or level.
    """
    known = [*LEVELS, *OTHERS, *LANGUAGES]
    mistakes = [f"there is no language or level {name!r}{closest(name, known)}" for name in names if name not in known]
    if mistakes:
        raise ConfigError(mistakes)
    return [name for name, language in LANGUAGES.items() if not names or name in names or language.level in names]


def attempts(
    overrides: Sequence[str], languages: Sequence[str], seeds: Sequence[int], folder: Path
) -> Iterator[Attempt]:
    """Train each language with each seed. Finished runs in the folder are not repeated, interrupted ones are resumed.

    Args:
        overrides: of the cell and everything else except task, data, language and seed.
        languages: their names.
        seeds: of the runs.
        folder: output directory, with a run directory for each attempt.

    Yields:
        The attempts.

    Raises:
        ConfigError: all errors in the overrides, or a run in the folder has other options.
    """
    fixed = ("task", "data", "experiment", "data.language", "seed")
    for text in overrides:
        if text.partition("=")[0] in fixed:
            raise ConfigError([f"{text} does not go with languages, which sets {', '.join(fixed)}: leave it out"])
    for seed in seeds:
        for language in languages:
            experiment = _experiment(language, seed, overrides)
            yield _attempt(experiment, language, seed, folder / f"{language}_{seed}")


def _experiment(language: str, seed: int, overrides: Sequence[str]) -> Experiment:
    chosen = [*COMMON, f"data.language={language}", f"seed={seed}"]
    experiment = compose(*chosen, *overrides)
    if MEMORY in experiment.cell and not any(text.startswith(f"cell.{MEMORY}=") for text in overrides):
        experiment = compose(*chosen, f"cell.{MEMORY}={experiment.data['test_longest'] + 1}", *overrides)
    return experiment


def _attempt(experiment: Experiment, language: str, seed: int, folder: Path) -> Attempt:
    ignored = io.StringIO()
    metrics: Mapping[str, Any] = {"test": {"row_accuracy": math.nan}, "updates": 0, "cpu_seconds": 0.0}
    # the output of the runs is suppressed, and a diverged training counts as not solved
    with redirect_stdout(ignored), redirect_stderr(ignored), suppress(TrainingError):
        metrics = _trained(experiment, folder)
    command = shlex.join(["seqzoo", "train", *experiment.overrides])
    accuracy, seconds = metrics["test"]["row_accuracy"], metrics["cpu_seconds"]
    return Attempt(experiment.choices["cell"], language, seed, accuracy, metrics["updates"], seconds, command)


def _trained(experiment: Experiment, folder: Path) -> Mapping[str, Any]:
    """The final metrics of a run that is started, resumed or finished."""
    if not (folder / CONFIG).exists():
        return start(experiment, folder)
    if fingerprint(stored(read_config(folder))) != fingerprint(experiment):
        raise ConfigError([f"{folder} is a run with other options: choose another folder, or delete this one"])
    return read_json(folder / METRICS) if (folder / METRICS).exists() else resume(folder, [])


def report(done: Sequence[Attempt]) -> str:
    """A line for each language, with the best seed as in the paper, and what is solved at each level."""
    rows = [("language", "level", "accuracy", "mean", "")]
    solved: dict[str, list[bool]] = {}
    for language in dict.fromkeys(attempt.language for attempt in done):
        of_language = [attempt for attempt in done if attempt.language == language]
        best = max(of_language, key=lambda attempt: -1 if math.isnan(attempt.accuracy) else attempt.accuracy)
        mean = statistics.fmean(attempt.accuracy for attempt in of_language)
        solved.setdefault(best.level, []).append(best.solved)
        rows.append((language, best.level, f"{best.accuracy:.3f}", f"{mean:.3f}", "solved" if best.solved else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
    counts = ", ".join(f"{level} {sum(marks)} of {len(marks)}" for level, marks in solved.items())
    seconds = sum(attempt.seconds for attempt in done)
    return "\n".join([*lines, "", f"{len(done)} trainings, {seconds:.0f} s", f"{done[0].cell} solves: {counts}"])


def highest_level(solved: Mapping[str, bool]) -> str:
    """The highest level of the Chomsky hierarchy of which all languages are solved, as are those of the levels below.

    Args:
        solved: of each language whether it is solved; languages that are missing have not been tried.

    Returns:
        The level; "below regular" if a regular language is not solved; empty if too few have been tried to say.
    """
    highest = ""
    for level in LEVELS:
        marks = [solved.get(name) for name, language in LANGUAGES.items() if language.level == level]
        if False in marks:
            return highest or f"below {level}"
        if None in marks:
            return highest
        highest = level
    return highest


def write(done: Sequence[Attempt], path: Path) -> None:
    """Write a CSV table with a row for each attempt."""
    write_table(path, COLUMNS, [row_of(attempt) for attempt in done])


def row_of(attempt: Attempt) -> dict[str, str]:
    """The row of an attempt in a table with COLUMNS."""
    return {
        "cell": attempt.cell,
        "language": attempt.language,
        "level": attempt.level,
        "seed": str(attempt.seed),
        "accuracy": f"{attempt.accuracy:.4f}",
        "solved": "yes" if attempt.solved else "no",
        "updates": str(attempt.updates),
        "seconds": f"{attempt.seconds:.1f}",
        "command": attempt.command,
    }
