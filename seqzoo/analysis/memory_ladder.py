"""The ladder: four memory tasks of increasing length, to measure how many steps a cell remembers.

Each attempt is a run of `seqzoo train` with the overrides below, so that it can be repeated on its own. All attempts
have the same number of updates, which makes results independent of the machine, except for rounding.
"""

from __future__ import annotations

import csv
import io
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqzoo.configuration.experiment import compose
from seqzoo.contracts.errors import ConfigError, TrainingError
from seqzoo.runs.lifecycle import start

TABLE = "ladder.csv"
SOLVED = 0.9
"""A task is solved if the loss is lower than that of the best answer without memory by at least this share."""

WIDTH = "backbone.hidden_size=64"
COMMON = [
    "data.batch_size=32", "task.metrics=[loss]", "training.epochs=null",
    "training.steps=1000", "training.validate_every=250", "training.learning_rate=0.01", "training.warmup_steps=50",
    "training.weight_decay=0", "training.examples=0", "training.device=cpu", "training.threads=1",
]  # fmt: skip
# embeddings of unit variance, as a standard normal input has
SYMBOLS = "encoder.initial_std=1"


@dataclass(frozen=True)
class Rung:
    """A task at increasing lengths.

    Args:
        name: of the task.
        lengths: to be tried.
        overrides: length -> options of the task.
        blind: length -> mean loss (nats or squared error) of the best answer without memory.
        steps: length -> number of steps that the task requires to remember.
        meaning: what a cell that solves the task can do; {} stands for the length.
    """

    name: str
    lengths: tuple[int, ...]
    overrides: Callable[[int], list[str]]
    blind: Callable[[int], float]
    steps: Callable[[int], int]
    meaning: str


COPIED, ALPHABET, KEYS, VALUES = 3, 8, 16, 4

LADDER = (
    Rung(
        "copy",
        (5, 10, 20, 40, 80, 160),
        lambda delay: [
            "task=tagging", "data=copy_memory", f"data.steps={delay}", f"data.symbols={COPIED}",
            f"data.alphabet_size={ALPHABET}", "data.train_size=384", "data.validation_size=64", "data.test_size=64",
            SYMBOLS,
        ],
        lambda delay: COPIED * math.log(ALPHABET) / (delay + 2 * COPIED),
        lambda delay: delay + COPIED,
        f"reproduces {COPIED} symbols after a delay of {{}} steps",
    ),
    Rung(
        "adding",
        (10, 25, 50, 100, 200),
        lambda steps: [
            "task=regression", "data=adding", f"data.steps={steps}", "data.train_size=10000",
            "data.validation_size=200", "data.test_size=500",
        ],
        lambda steps: 1 / 6,
        lambda steps: steps,
        "adds two marked numbers among {}",
    ),
    Rung(
        "recall",
        (2, 4, 8, 16),
        lambda pairs: [
            "task=classification", "data=recall", f"data.pairs={pairs}", f"data.keys={KEYS}", f"data.values={VALUES}",
            "data.train_size=6000", "data.validation_size=200", "data.test_size=500", SYMBOLS,
        ],
        lambda pairs: math.log(VALUES),
        lambda pairs: 2 * pairs,
        "recalls the value of one of {} keys",
    ),
    Rung(
        "parity",
        (20, 40, 80, 160),
        lambda bits: [
            "task=tagging", "data=parity", f"data.longest={bits // 2}", f"data.test_length={bits}",
            "data.train_size=1000", "data.validation_size=200", "data.test_size=200", SYMBOLS,
        ],
        lambda bits: math.log(2),
        lambda bits: bits,
        "computes the parity of {} bits, trained on half as many",
    ),
)  # fmt: skip


class Attempt(NamedTuple):
    """The result of a task at one length.

    Attributes:
        rung: the task.
        length: its length.
        score: 1 - loss / loss without memory, 1 at best; NaN if the training diverged.
        seconds: duration of the training.
        cell: name of the cell.
        command: the command that repeats the training.
    """

    rung: Rung
    length: int
    score: float
    seconds: float
    cell: str
    command: str

    @property
    def solved(self) -> bool:
        """Whether the score is at least SOLVED."""
        return self.score >= SOLVED

    @property
    def steps(self) -> int:
        """Number of steps that the task requires to remember."""
        return self.rung.steps(self.length)

    @property
    def meaning(self) -> str:
        """What a cell that solves the task can do."""
        return self.rung.meaning.format(self.length)

    def __str__(self) -> str:
        verdict = "solved" if self.solved else "not solved"
        return f"{self.rung.name:6}  {self.length:>3}  score {self.score:6.3f}  {self.seconds:4.1f} s  {verdict}"


def climb(overrides: list[str], folder: Path) -> Iterator[Attempt]:
    """Train each task of the ladder at increasing lengths until one is not solved.

    Args:
        overrides: of the cell and everything else except task and data.
        folder: output directory, with a run directory for each attempt.

    Yields:
        The attempts.

    Raises:
        ConfigError: all errors in the overrides.
    """
    fixed = [text for text in overrides if text.partition("=")[0] in ("task", "data", "experiment")]
    if fixed:
        raise ConfigError([f"{fixed[0]} does not go with a ladder, which has tasks and data of its own"])
    for rung in LADDER:
        for length in rung.lengths:
            attempt = _attempt(rung, length, overrides, folder / f"{rung.name}_{length}")
            yield attempt
            if not attempt.solved:
                break


def _attempt(rung: Rung, length: int, overrides: list[str], folder: Path) -> Attempt:
    # a budget of parameters or FLOPs determines the width
    width = [] if any(text.startswith(("budget.parameters=", "budget.flops=")) for text in overrides) else [WIDTH]
    experiment = compose(*width, *COMMON, *rung.overrides(length), *overrides)
    began = time.monotonic()
    loss = math.nan
    # the output of the runs is suppressed, and a diverged training counts as not solved
    ignored = io.StringIO()
    with redirect_stdout(ignored), redirect_stderr(ignored), suppress(TrainingError):
        loss = start(experiment, folder)["test"]["loss"]
    command = shlex.join(["seqzoo", "train", *experiment.overrides])
    score = 1 - loss / rung.blind(length)
    return Attempt(rung, length, score, time.monotonic() - began, experiment.choices["cell"], command)


def report(attempts: list[Attempt]) -> str:
    """The longest solved length of each task, one line each, and a conclusion."""
    rows: list[tuple[str, ...]] = [("task", "steps", "score", "solved", "not solved")]
    carried: dict[str, int] = {}
    for rung in LADDER:
        of_rung = [attempt for attempt in attempts if attempt.rung is rung]
        best = next((attempt for attempt in reversed(of_rung) if attempt.solved), None)
        carried[rung.name] = best.steps if best else 0
        solved = ("0", "", "nothing") if best is None else (str(best.steps), f"{best.score:.3f}", best.meaning)
        last = of_rung[-1]
        failed = "the ladder ends here" if last.solved else f"{last.length} (score {last.score:.3f})"
        rows.append((rung.name, *solved, failed))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
    seconds = sum(attempt.seconds for attempt in attempts)
    trained = f"{len(attempts)} trainings, {seconds:.0f} s"
    return "\n".join([*lines, "", trained, _verdict(attempts[0].cell, carried)])


def _verdict(cell: str, carried: dict[str, int]) -> str:
    """The longest lag at which two tasks are solved; a single task may happen to suit the cell."""
    (task, most), (_, second) = sorted(carried.items(), key=lambda item: -item[1])[:2]
    if second:
        return f"{cell} remembers about {second} steps: it solves two of the four tasks at this lag."
    if most:
        return f"{cell} remembers about {most} steps, but in a single task: {task}."
    return f"{cell} remembers hardly any step: it solves none of the four tasks at the shortest length."


def write(attempts: list[Attempt], path: Path) -> None:
    """Write a CSV table with a row for each attempt."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", "task", "length", "steps", "score", "solved", "seconds", "command"])
        for a in attempts:
            solved = "yes" if a.solved else "no"
            numbers = [a.length, a.steps, f"{a.score:.4f}", solved, f"{a.seconds:.1f}"]
            writer.writerow([a.cell, a.rung.name, *numbers, a.command])
