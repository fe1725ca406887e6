"""Write results/learning_memory.csv: the memory of learning rules on one long stream of characters.

python scripts/measure_stream.py    # trains on 10,000 to 1,000,000 characters of Shakespeare, by each rule

Every run is a process of its own, whose largest resident memory the operating system reports. Real-time recurrent
learning updates the weights after every 100 characters, and its gradient reaches back to the first one;
backpropagation reaches as far in one update over the whole text. `python scripts/write_learning.py --page` writes the
table to docs/LEARNING.md.
"""

from __future__ import annotations

import datetime
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from seqzoo.analysis.result_tables import write_table
from seqzoo.runs.provenance import commit, hardware

TABLE = Path(__file__).resolve().parents[1] / "results" / "learning_memory.csv"
COLUMNS = ("rule", "steps", "updates", "megabytes", "seconds", "command", "device", "commit", "date")
LENGTHS, WINDOW = (10_000, 100_000, 1_000_000), 100
OPTIONS = (
    "task=language_modeling", "data=tiny_shakespeare", "data.batch_size=1", "encoder.embedding_size=8",
    "encoder.dropout=0", "cell=ind_rnn", "backbone.hidden_size=16", "training.epochs=null", "training.examples=0",
    "training.diagnostics=0", "baseline=false", "training.threads=1",
)  # fmt: skip


def measure(rule: str, steps: int) -> dict[str, str]:
    """Train by a rule on a stream, `steps` characters long, in a process of its own."""
    window = WINDOW if rule == "rtrl" else steps
    options = [*OPTIONS, f"learning={rule}", f"data.window={window}", f"training.steps={steps // window}"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "seqzoo", "train", *options, f"hydra.run.dir={folder}/run"],
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the training on {steps:,} steps failed: status {process.returncode}")
    return {
        "rule": rule,
        "steps": str(steps),
        "updates": str(steps // window),
        "megabytes": f"{usage.ru_maxrss / 1024:.0f}",
        "seconds": f"{usage.ru_utime + usage.ru_stime:.0f}",
        "command": shlex.join(["seqzoo", "train", *options]),
        "device": hardware(torch.device("cpu")),
        "commit": commit() or "",
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    rows = []
    for steps in LENGTHS:
        for rule in ("rtrl", "bptt"):
            rows.append(measure(rule, steps))
            print(rows[-1], flush=True)
            write_table(TABLE, COLUMNS, rows)


if __name__ == "__main__":
    main()
