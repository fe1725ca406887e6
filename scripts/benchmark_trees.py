"""Measure cells over the trees of data=sst5_trees, and write results/structures_speed.csv.

python scripts/benchmark_trees.py    # reads SEQZOO_DATA

Milliseconds are CPU time on one thread of a forward and a backward pass over a batch of 25 trees: the mean over
batches of the minimum of repetitions, in which all cases alternate; other programs hardly affect a minimum. `flat` is
an LSTM of the same size over as many steps as there are nodes, one after the other; `node by node` is `Cell.unroll`,
on one batch.
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

import seqzoo
from seqzoo.analysis.result_tables import write_table
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import Batch
from seqzoo.runs.provenance import commit, hardware

TABLE = Path(__file__).resolve().parents[1] / "results" / "structures_speed.csv"
COLUMNS = ("case", "cell", "milliseconds", "times_flat_lstm", "device", "torch", "commit", "date")
CELLS = ("lstm", "gru", "child_sum_tree_lstm", "nary_tree_lstm")
INPUT, HIDDEN, BATCHES, ROUNDS = 100, 150, 8, 9


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batches = some_batches()
    cells = {name: seqzoo.create_cell(name, INPUT, HIDDEN) for name in CELLS}
    lstm = nn.LSTM(INPUT, HIDDEN, batch_first=True)
    runs: dict[tuple[str, str], Callable[[Batch], None]] = {("nn.LSTM", "flat"): lambda batch: backward(batch, lstm)}
    runs["lstm", "flat"] = partial(flat, cells["lstm"])
    runs |= {(name, "trees"): partial(over_trees, cell.scan) for name, cell in cells.items()}
    taken = {case: [] for case in runs}  # type: ignore[var-annotated]
    for run in runs.values():
        run(batches[0])
    for _ in range(ROUNDS):
        for case, run in runs.items():
            taken[case].append([seconds(run, batch) for batch in batches])
    middle = batches[BATCHES // 2]
    for name in (name for name, cell in cells.items() if type(cell).compose is not Cell.compose):
        taken[name, "trees, one batch"] = [[seconds(runs[name, "trees"], middle)] for _ in range(ROUNDS)]
        one_by_one = partial(over_trees, cells[name].unroll)
        taken[name, "node by node, one batch"] = [[seconds(one_by_one, middle)] for _ in range(2)]
    flat_lstm = least(taken["lstm", "flat"])
    common = {
        "device": hardware(torch.device("cpu")),
        "torch": torch.__version__.partition("+")[0],
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
    rows = []
    for (name, case), times in taken.items():
        ratio = "" if "one batch" in case else f"{least(times) / flat_lstm:.2f}"
        rows.append(
            {
                "case": case,
                "cell": name,
                "milliseconds": f"{1e3 * least(times):.1f}",
                "times_flat_lstm": ratio,
                **common,
            }
        )
        print(*rows[-1].values())
    write_table(TABLE, COLUMNS, rows)


def least(rounds: list[list[float]]) -> float:
    """The mean over batches of the minimum over rounds."""
    return statistics.mean(map(min, zip(*rounds, strict=True)))


def some_batches() -> list[Batch]:
    """Batches of trees of all sizes."""
    _, data = seqzoo.build("task=tree_classification", "data=sst5_trees", "data.limit=2000")
    every = list(data.batches("train"))
    return every[:: len(every) // BATCHES][:BATCHES]


def seconds(run: Callable[[Batch], None], batch: Batch) -> float:
    start = time.process_time()
    run(batch)
    return time.process_time() - start


def over_trees(scan: Callable, batch: Batch) -> None:
    backward(batch, lambda x: scan(x, None, batch.steps))


def flat(cell: Cell, batch: Batch) -> None:
    backward(batch, lambda x: cell.scan(x, None, batch.lengths))


def backward(batch: Batch, run: Callable) -> None:
    run(torch.randn(*batch.inputs.shape, INPUT, requires_grad=True))[0].sum().backward()


if __name__ == "__main__":
    main()
