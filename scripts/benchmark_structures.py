"""Measure cells over the trees of data=sst5_trees and over grids, and write results/structures_speed.csv.

python scripts/benchmark_structures.py          # reads SEQZOO_DATA
python scripts/benchmark_structures.py --only grids

Milliseconds are CPU time on one thread of a forward and a backward pass over a batch: the mean over batches of the
minimum of repetitions, in which all cases alternate; other programs hardly affect a minimum. A batch is 25 trees, or 8
grids of 28 x 28 nodes. `flat` is an LSTM of the same size over as many steps as there are nodes, one after the other;
`node by node` is `Cell.unroll`, on one batch.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

import seqzoo
from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.cells.cell import Cell
from seqzoo.contracts.steps import Steps
from seqzoo.runs.provenance import commit, hardware

TABLE = Path(__file__).resolve().parents[1] / "results" / "structures_speed.csv"
COLUMNS = ("case", "cell", "milliseconds", "times_flat_lstm", "device", "torch", "commit", "date")
BATCHES, ROUNDS, ROUNDS_NODE_BY_NODE = 8, 9, 5


class Batch(NamedTuple):
    """Steps of a batch and their shape, (B, T)."""

    shape: tuple[int, int]
    steps: Steps


class Structure(NamedTuple):
    """What is measured.

    Attributes:
        cells: names, of which `unrolled` also run node by node.
        input_size, hidden_size: of the cells.
        flat: the name of the case of sequences.
        batches: makes them.
    """

    cells: tuple[str, ...]
    unrolled: tuple[str, ...]
    input_size: int
    hidden_size: int
    flat: str
    batches: Callable[[], list[Batch]]


def some_trees() -> list[Batch]:
    """Batches of trees of all sizes."""
    _, data = seqzoo.build("task=tree_classification", "data=sst5_trees", "data.limit=2000")
    every = list(data.batches("train"))
    chosen = every[:: len(every) // BATCHES][:BATCHES]
    return [Batch((batch.size, batch.inputs.shape[1]), batch.steps) for batch in chosen]


def some_grids() -> list[Batch]:
    return [Batch((8, 28 * 28), Steps(grid=(28, 28)))]


STRUCTURES = {
    "trees": Structure(
        ("lstm", "gru", "child_sum_tree_lstm", "nary_tree_lstm"),
        ("child_sum_tree_lstm", "nary_tree_lstm"),
        100,
        150,
        "flat",
        some_trees,
    ),
    "grids": Structure(
        ("lstm", "md_rnn", "md_lstm", "md_lstm_stable", "md_gru"), ("md_lstm",), 16, 32, "flat, 784 steps", some_grids
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=STRUCTURES, help="measure one structure; others stay as they are")
    only = parser.parse_args().only
    chosen = [only] if only else list(STRUCTURES)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measured = [row for name in chosen for row in measure(name, STRUCTURES[name])]
    cases = {row["case"] for row in measured}
    write_table(TABLE, COLUMNS, [*(row for row in read_table(TABLE) if row["case"] not in cases), *measured])


def measure(structure: str, options: Structure) -> list[dict[str, str]]:
    """The rows of a structure."""
    batches = options.batches()
    sizes = options.input_size, options.hidden_size
    cells = {name: seqzoo.create_cell(name, *sizes) for name in options.cells}
    lstm = nn.LSTM(*sizes, batch_first=True)
    runs: dict[tuple[str, str], Callable[[Batch], None]] = {
        ("nn.LSTM", options.flat): partial(backward, lstm, options.input_size),
        ("lstm", options.flat): partial(flat, cells["lstm"]),
    }
    runs |= {(name, structure): partial(over_nodes, cell, cell.scan) for name, cell in cells.items()}
    taken = {case: [] for case in runs}  # type: ignore[var-annotated]
    for run in runs.values():
        run(batches[0])
    for _ in range(ROUNDS):
        for case, run in runs.items():
            taken[case].append([seconds(run, batch) for batch in batches])
    middle = batches[len(batches) // 2]
    compared = {(name, f"{structure}, one batch"): runs[name, structure] for name in options.unrolled}
    compared |= {
        (name, f"{structure}, node by node, one batch"): partial(over_nodes, cells[name], cells[name].unroll)
        for name in options.unrolled
    }
    taken |= {case: [] for case in compared}
    for _ in range(ROUNDS_NODE_BY_NODE):
        for case, run in compared.items():
            taken[case].append([seconds(run, middle)])
    flat_lstm = least(taken["lstm", options.flat])
    common = {
        "device": hardware(torch.device("cpu")),
        "torch": torch.__version__.partition("+")[0],
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
    rows = []
    for (name, case), times in taken.items():
        ratio = "" if "one batch" in case else f"{least(times) / flat_lstm:.2f}"
        row = {"case": case, "cell": name, "milliseconds": f"{1e3 * least(times):.1f}", "times_flat_lstm": ratio}
        rows.append({**row, **common})
        print(*rows[-1].values())
    return rows


def least(rounds: list[list[float]]) -> float:
    """The mean over batches of the minimum over rounds."""
    return statistics.mean(map(min, zip(*rounds, strict=True)))


def seconds(run: Callable[[Batch], None], batch: Batch) -> float:
    start = time.process_time()
    run(batch)
    return time.process_time() - start


def over_nodes(cell: Cell, scan: Callable, batch: Batch) -> None:
    backward(lambda x: scan(x, None, batch.steps), cell.input_size, batch)


def flat(cell: Cell, batch: Batch) -> None:
    backward(lambda x: cell.scan(x, None, batch.steps.lengths), cell.input_size, batch)


def backward(run: Callable, input_size: int, batch: Batch) -> None:
    run(torch.randn(*batch.shape, input_size, requires_grad=True))[0].sum().backward()


if __name__ == "__main__":
    main()
