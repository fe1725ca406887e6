"""Write results/languages.csv: which formal languages the cells learn, by `seqzoo languages`.

python scripts/measure_languages.py                                         # all of it, many hours
python scripts/measure_languages.py --cells lstm gru --only regular s3 a5   # some of it

By default every cell learns the regular languages and words over S3 and A5 with one seed, and the cells below all
languages with two seeds. The runs are in runs/languages: finished ones are not repeated, and interrupted ones are
resumed. `python scripts/write_cells.py` writes the highest level that a cell solves to docs/CELLS.md.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import torch

from seqzoo.analysis.language_levels import COLUMNS, attempts, chosen_languages, row_of
from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.configuration.registry import names
from seqzoo.runs.provenance import commit, hardware

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE, RUNS = REPOSITORY / "results" / "languages.csv", REPOSITORY / "runs" / "languages"
WHOLE, WHOLE_SEEDS = ("elman", "lstm", "stack_rnn", "tape_rnn"), 2
EVERY = ("regular", "s3", "a5")


def measure(cell: str, only: list[str], seeds: int) -> None:
    """Train a cell, and add a row for each run to the table as soon as it has finished."""
    for attempt in attempts([f"cell={cell}"], chosen_languages(only), range(seeds), RUNS / cell):
        print(attempt, flush=True)
        keys = ("cell", "language", "seed")
        rows = {tuple(row[key] for key in keys): row for row in read_table(TABLE)}
        row = row_of(attempt)
        key = tuple(row[name] for name in keys)
        if row != {name: rows.get(key, {}).get(name) for name in COLUMNS}:  # otherwise its commit and date are older
            made = {"device": hardware(torch.device("cpu")), "threads": "1", "commit": commit() or ""}
            rows[key] = {**row, **made, "date": datetime.date.today().isoformat()}
        write_table(TABLE, (*COLUMNS, "device", "threads", "commit", "date"), [rows[key] for key in sorted(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", default=names("cell"), metavar="CELL")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="languages or levels, as of seqzoo languages")
    parser.add_argument("--seeds", type=int, metavar="N", help="number of seeds")
    chosen = parser.parse_args()
    for cell in chosen.cells:
        whole = cell in WHOLE
        only = chosen.only if chosen.only is not None else [] if whole else [*EVERY]
        measure(cell, only, chosen.seeds or (WHOLE_SEEDS if whole else 1))


if __name__ == "__main__":
    main()
