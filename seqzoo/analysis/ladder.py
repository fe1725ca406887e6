"""The ladder: four tasks of memory, each longer and longer until a cell fails; how many steps of the past it carries.

Each attempt is an ordinary run from a fresh start, `seqzoo train` with the overrides below, so that every length can be
trained again alone. Equal numbers of updates, not of seconds: the answer is the same on every machine but for rounding.
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
"""A task is solved where so much of the loss has gone that is left to whoever remembers nothing."""

WIDTH = "backbone.hidden_size=64"
COMMON = [
    "data.batch_size=32", "task.metrics=[loss]", "training.epochs=null",
    "training.steps=1000", "training.validate_every=250", "training.learning_rate=0.01", "training.warmup_steps=50",
    "training.weight_decay=0", "training.examples=0", "training.device=cpu", "training.threads=1",
]  # fmt: skip
# vectors of the few symbols that are as large as a normal input
SYMBOLS = "encoder.initial_std=1"


@dataclass(frozen=True)
class Rung:
    """A task at growing lengths.

    overrides: options of the task at a length. blind: mean loss (nats or squared error) of the best answer without
    memory. steps: how many steps back the task reaches. meaning: what a cell that solves it can do.
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
    """A rung at one length.

    score: relative reduction of the loss without memory, 1 at best; nan if the training failed.
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
        return self.score >= SOLVED

    @property
    def steps(self) -> int:
        return self.rung.steps(self.length)

    @property
    def meaning(self) -> str:
        return self.rung.meaning.format(self.length)

    def __str__(self) -> str:
        verdict = "solved" if self.solved else "not solved"
        return f"{self.rung.name:6}  {self.length:>3}  score {self.score:6.3f}  {self.seconds:4.1f} s  {verdict}"


def climb(overrides: list[str], folder: Path) -> Iterator[Attempt]:
    """Train each rung of the ladder at growing lengths, until one is not solved.

    overrides: of the cell and whatever else, but for the task and its data. folder: of the runs, one for each attempt.

    Raises ConfigError with every mistake in the overrides.
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
    # a budget of parameters or FLOPs chooses the width
    width = [] if any(text.startswith(("budget.parameters=", "budget.flops=")) for text in overrides) else [WIDTH]
    experiment = compose(*width, *COMMON, *rung.overrides(length), *overrides)
    began = time.monotonic()
    loss = math.nan
    # what a run tells its user is too much here, and a loss that is no number is an answer
    silence = io.StringIO()
    with redirect_stdout(silence), redirect_stderr(silence), suppress(TrainingError):
        loss = start(experiment, folder)["test"]["loss"]
    command = shlex.join(["seqzoo", "train", *experiment.overrides])
    score = 1 - loss / rung.blind(length)
    return Attempt(rung, length, score, time.monotonic() - began, experiment.choices["cell"], command)


def report(attempts: list[Attempt]) -> str:
    """The longest solved length of each task, one line each, and a conclusion."""
    rows: list[tuple[str, ...]] = [("task", "steps", "score", "solved", "not solved")]
    carried: dict[str, int] = {}
    for rung in LADDER:
        own = [attempt for attempt in attempts if attempt.rung is rung]
        best = next((attempt for attempt in reversed(own) if attempt.solved), None)
        carried[rung.name] = best.steps if best else 0
        solved = ("0", "", "nothing") if best is None else (str(best.steps), f"{best.score:.3f}", best.meaning)
        failed = "the ladder ends here" if own[-1].solved else f"{own[-1].length} (score {own[-1].score:.3f})"
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
    """The longest lag at which two tasks are solved: one may suit a cell by chance, and none suits every cell."""
    (task, most), (_, second) = sorted(carried.items(), key=lambda item: -item[1])[:2]
    if second:
        return f"{cell} remembers about {second} steps: it solves two of the four tasks at this lag."
    if most:
        return f"{cell} remembers about {most} steps, but in a single task: {task}."
    return f"{cell} remembers hardly any step: it solves none of the four tasks at the shortest length."


def write(attempts: list[Attempt], path: Path) -> None:
    """Write a table with a row for each attempt."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["cell", "task", "length", "steps", "score", "solved", "seconds", "command"])
        for a in attempts:
            solved = "yes" if a.solved else "no"
            numbers = [a.length, a.steps, f"{a.score:.4f}", solved, f"{a.seconds:.1f}"]
            writer.writerow([a.cell, a.rung.name, *numbers, a.command])
