"""The comparison of all cells on five tasks, at equal size and training time, and of a few cells at other sizes.
`make study` runs all of it.

python scripts/study.py --cells lstm,gru --tasks tagging --seeds 0    # some of it
python scripts/study.py --record                                      # only write finished runs to the table

Finished runs are skipped and interrupted ones resumed, so it can be stopped and started at any time. The first seed of
all cells comes first. results/study.csv is written from the run directories; `scripts/record_results.py` makes its
page.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.analysis.study import COLUMNS, SIZE
from seqzoo.configuration import registry
from seqzoo.contracts.errors import SeqzooError
from seqzoo.runs.launch import launch
from seqzoo.runs.ledger import Ledger

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = REPOSITORY / "results" / "study.csv"
SEEDS = (0, 1, 2)
# every cell runs on every task; these also at other sizes
OTHER_SIZES = ("50k", "800k")
SIZED_TASK, SIZED_CELLS = "language modelling", ("elman", "lstm", "gru")
# the same for all cells; nothing is tuned
COMMON = (
    "budget.seconds=90", "training.epochs=null", "training.steps=null",
    "training.learning_rate=0.003", "training.warmup_steps=50", "training.threads=1", "training.device=cpu",
    "training.examples=0",
)  # fmt: skip
# embeddings have at most half of the weights
WORDS = ("backbone=bidirectional", "data.vocabulary_size=3000", "encoder.embedding_size=32", "encoder.dropout=0.3")
TASKS = {
    "language modelling": (
        "task=language_modeling", "data=tiny_shakespeare", "data.batch_size=16", "encoder.embedding_size=32",
        "encoder.initial_std=1", "task.metrics=[bits_per_character]",
    ),
    "sentiment": ("task=classification", "data=sst2", *WORDS, "task.pooling=max", "task.dropout=0.3"),
    "tagging": ("task=tagging", "data=ud_english_ewt", *WORDS, "task.dropout=0.3"),
    "translation": (
        "task=transduction", "data=multi30k_de_en", "backbone=bidirectional", "data.source_tokenizer=bpe",
        "data.target_tokenizer=bpe", "data.vocabulary_size=1000", "encoder.embedding_size=32",
        "task.decoder.attention=general", "task.decoder.context=mean_state", "task.decoder.tied_embeddings=True",
        "task.metrics=[bleu]",
    ),
    "captioning": ("task=captioning", "data=shapes"),
}  # fmt: skip


class Job(NamedTuple):
    task: str
    size: str
    cell: str
    seed: int

    @property
    def command(self) -> str:
        chosen = [f"cell={self.cell}", f"seed={self.seed}", *_settings(self.task, self.size)]
        return shlex.join(["seqzoo", "train", *chosen])


def _settings(task: str, size: str) -> list[str]:
    return [*TASKS[task], f"budget.parameters={size}", *COMMON]


def all_jobs() -> list[Job]:
    """All jobs: one seed of all cells on all tasks, then of other sizes, then the next seed."""
    jobs = [Job(task, SIZE, cell, seed) for seed in SEEDS for task in TASKS for cell in registry.names("cell")]
    jobs += [Job(SIZED_TASK, size, cell, seed) for seed in SEEDS for size in OTHER_SIZES for cell in SIZED_CELLS]
    return sorted(jobs, key=lambda job: job.seed)


def record(runs: Path) -> dict[Job, dict[str, str]]:
    """Write the table: its current rows, the results of finished runs, and empty rows for jobs not run yet."""
    current = {Job(row["task"], row["size"], row["cell"], int(row["seed"])): row for row in read_table(TABLE)}
    sweeps = dict.fromkeys((job.task, job.size) for job in all_jobs())
    results = {job: row for task, size in sweeps for job, row in _results(runs, task, size)}
    table = {}
    for job in all_jobs():
        empty = _row(job, remark="not run")
        kept = current.get(job, empty)
        table[job] = results.get(job, kept if kept.get("command") in (None, "", job.command) else empty)
    write_table(TABLE, COLUMNS, table.values())
    return table


def _row(job: Job, **values: str) -> dict[str, str]:
    return {"task": job.task, "size": job.size, "cell": job.cell, "seed": str(job.seed), **values}


def _results(runs: Path, task: str, size: str) -> Iterator[tuple[Job, dict[str, str]]]:
    """A row for each job that has finished or failed."""
    sweep = runs / _folder(task, size)
    for entry in Ledger(sweep).entries():
        if entry.status == "failed":
            options = dict(pair.split("=") for pair in entry.folder.split(","))
            job = Job(task, size, options["cell"], int(options["seed"]))
            if entry.command == job.command:
                yield job, _row(job, remark=f"failed: {entry.reason}")
    for path in sorted(sweep.glob("*/metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        job = Job(task, size, metrics["choices"]["cell"], metrics["seed"])
        if metrics["command"] != job.command:
            continue
        split = "test" if "test" in metrics else "validation"
        metric, value = next(iter(metrics[split].items()))
        better = "higher" if metrics["higher_is_better"][metric] else "lower"
        measured = {
            "data": metrics["choices"]["data"], "split": split, "metric": metric, "better": better,
            "value": f"{value:.6g}",
        }  # fmt: skip
        same = COLUMNS[COLUMNS.index("value") + 1 : COLUMNS.index("remark")]
        yield job, _row(job, **measured, **{name: str(metrics[name]) for name in same})


def _folder(task: str, size: str) -> str:
    return task.replace(" ", "_") + ("" if size == SIZE else f"_{size}")


def train(wanted: list[Job], runs: Path) -> None:
    """Train jobs; each task, size and seed is a sweep over cells, in a folder that is shared by all seeds."""
    for (task, size, seed), part in itertools.groupby(wanted, lambda job: (job.task, job.size, job.seed)):
        # choice() also makes a sweep of a single value, so that runs are always named after cell and seed
        cells = f"cell=choice({','.join(job.cell for job in part)})"
        chosen = [cells, f"seed=choice({seed})", *_settings(task, size)]
        try:
            sweep = launch(["-m"], [*chosen, f"hydra.sweep.dir={runs / _folder(task, size)}"])
            if sweep is not None:
                sweep.raise_failed()
        except SeqzooError as error:
            print(f"study, {task}: {error}", file=sys.stderr, flush=True)
        record(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=lambda text: text.split(","), help="names separated by commas; default: all")
    parser.add_argument("--tasks", type=lambda text: text.split(","), help=f"default: {','.join(TASKS)}")
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], help="default: 0,1,2")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs", "study"), help="output folder of the runs (default: runs/study)"
    )
    parser.add_argument("--record", action="store_true", help="do not train, only write the table")
    chosen = parser.parse_args()
    table = record(chosen.runs)
    wanted = [
        job
        for job, row in table.items()
        if not row.get("value")
        and (chosen.cells is None or job.cell in chosen.cells)
        and (chosen.tasks is None or job.task in chosen.tasks)
        and (chosen.seeds is None or job.seed in chosen.seeds)
    ]
    if not chosen.record:
        train(wanted, chosen.runs)
    done = sum(bool(row.get("value")) for row in record(chosen.runs).values())
    print(f"study: {done} of {len(table)} runs are in {TABLE}")


if __name__ == "__main__":
    main()
