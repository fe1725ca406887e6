"""Write docs/CELLS.md: every cell with its paper, sizes, the results of all checks, and its speed.

python scripts/write_cells.py            # checks every cell, under a minute
python scripts/write_cells.py --speed    # first measures results/cells_speed.csv, some minutes on an idle machine
python scripts/write_cells.py --speed stack_rnn tape_rnn    # measures these cells alone
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the equations in NumPy are part of the tests

from seqzoo.analysis.catalogue import CellInfo, cell_info  # noqa: E402
from seqzoo.analysis.cell_checks import CHECKS, check_equation  # noqa: E402
from seqzoo.analysis.language_levels import highest_level  # noqa: E402
from seqzoo.analysis.result_tables import read_table, write_table  # noqa: E402
from seqzoo.analysis.testing import Verdict, verdict  # noqa: E402
from seqzoo.configuration.building import cell_factory  # noqa: E402
from seqzoo.configuration.composing import load  # noqa: E402
from seqzoo.configuration.registry import names  # noqa: E402
from seqzoo.runs.provenance import hardware  # noqa: E402
from tests.contracts.steps import STEPS  # noqa: E402

PAGE, SPEED = REPOSITORY / "docs" / "CELLS.md", REPOSITORY / "results" / "cells_speed.csv"
SOLVED = REPOSITORY / "results" / "languages.csv"
SPEED_COLUMNS = ("cell", "times", "device", "threads", "torch")
BATCH, LENGTH, WIDTH, ROUNDS = 32, 100, 128, 9
MARKS = ("engines", "equation", *CHECKS)
COLUMNS = ("cell", "paper", "states", "parameters", "parallel in time", *MARKS, "solves", "time")
HEADER = """# Cells

`python scripts/write_cells.py` writes this page. Each mark is the result of a check in
`seqzoo/analysis/cell_checks.py`; `tests/contracts/test_cells.py` runs the same checks as tests. `seqzoo info NAME`
prints the equations, options and BibTeX entry of a cell.

| column | meaning |
|---|---|
| states | number and shape of the state tensors; B: batch size, I: input size, H: hidden size |
| parameters | number of trained parameters at input and hidden size 128; °: none, the weights are random and fixed |
| parallel in time | yes: the number of operations of a scan grows more slowly than the number of steps (counted) |
| engines | fast implementations of a scan: fused (compiled step), torch (its kernel or a parallel scan) |
| equation | outputs and states of 7 steps equal those of the paper's equations, written in NumPy, in float64 |
"""
REFERENCE = "✓ʳ"


def measure_marks() -> dict[str, dict[str, str]]:
    """Run all checks; returns the mark of each cell and check."""
    marks = {}
    for name in names("cell"):
        create = cell_factory(name)
        verdicts = {"equation": verdict(check_equation, create, STEPS[name], load("cell", name))}
        verdicts |= {check: verdict(run, create) for check, run in CHECKS.items()}
        marks[name] = {check: _mark(result) for check, result in verdicts.items()}
        marks[name]["engines"] = verdicts["scan"].remark
    return marks


def _mark(result: Verdict) -> str:
    if not result.passed:
        return "✗"
    return REFERENCE if result.remark == "reference" else "✓"


def page(marks: dict[str, dict[str, str]]) -> str:
    """docs/CELLS.md from marks, the catalogue and the table of speeds."""
    speeds, solved = read_speeds(), read_solved()
    devices = sorted({f"{row['device']}, {row['threads']} thread, torch {row['torch']}" for row in speeds.values()})
    lines = [HEADER.rstrip()]
    lines += [f"| {name} | {_first_sentence(check)} |" for name, check in CHECKS.items()]
    lines.append(
        "| solves | the highest level of the Chomsky hierarchy of which the cell learns all languages, and those of "
        "the levels below (`seqzoo languages`, by `scripts/measure_languages.py`); empty: not measured |"
    )
    lines.append(
        f"| time | CPU time of forward and backward passes over {LENGTH} steps, batch {BATCH}, input and hidden "
        f"size {WIDTH}, as a multiple of `nn.LSTM` in the same process ({'; '.join(devices) or 'not measured'}) |"
    )
    lines += [
        "",
        f"✓ passes, ✗ fails, {REFERENCE} passes step by step, because torch's fast kernel does not support it.",
        "",
    ]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for name in names("cell"):
        row = _row(cell_info(name), highest_level(solved.get(name, {})), speeds.get(name, {}).get("times", ""))
        lines.append("| " + " | ".join({**row, **marks.get(name, {})}.get(column, "") for column in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def _first_sentence(check: Callable) -> str:
    text = " ".join((check.__doc__ or "").split()).partition(". ")[0].rstrip(".")
    return text[0].lower() + text[1:] if text[1].islower() or text[1] == " " else text


def _row(cell: CellInfo, solves: str, times: str) -> dict[str, str]:
    return {
        "cell": f"`{cell.name}`",
        "paper": f"[{cell.paper.citation}]({cell.paper.link})",
        "states": " ".join(f"{cell.states.count(state)} x {state}" for state in dict.fromkeys(cell.states)),
        "parameters": f"{cell.parameters:,}{'' if cell.trains_recurrence else '°'}",
        "parallel in time": "yes" if cell.parallel_in_time else "",
        "solves": solves,
        "time": times,
    }


def read_solved() -> dict[str, dict[str, bool]]:
    """For each cell, whether it solves each language that it was trained on, with the best seed."""
    solved: dict[str, dict[str, bool]] = {}
    for row in read_table(SOLVED):
        of_cell = solved.setdefault(row["cell"], {})
        of_cell[row["language"]] = of_cell.get(row["language"], False) or row["solved"] == "yes"
    return solved


def read_speeds() -> dict[str, dict[str, str]]:
    return {row["cell"]: row for row in read_table(SPEED)}


def measure_speeds(cells: list[str]) -> None:
    """Time cells relative to nn.LSTM, as medians over rounds in which both alternate, and write the table, in which
    other cells keep their rows.
    """
    torch.set_num_threads(1)
    common = {"device": hardware(torch.device("cpu")), "threads": "1", "torch": torch.__version__.partition("+")[0]}
    rows = read_speeds()
    for name in cells:
        torch.manual_seed(0)
        cell, lstm = cell_factory(name)(WIDTH, WIDTH), nn.LSTM(WIDTH, WIDTH, batch_first=True)
        runs = {"cell": functools.partial(_seconds, cell.scan), "lstm": functools.partial(_seconds, lstm)}
        for run in runs.values():
            run()
        seconds: dict[str, list[float]] = {which: [] for which in runs}
        for _ in range(ROUNDS):
            for which, run in runs.items():
                seconds[which].append(run())
        times = statistics.median(seconds["cell"]) / statistics.median(seconds["lstm"])
        rows[name] = {"cell": name, "times": f"{times:.2g}", **common}
        print(name, rows[name]["times"], flush=True)
    write_table(SPEED, SPEED_COLUMNS, [rows[name] for name in names("cell") if name in rows])


def _seconds(run: Callable[[Tensor], tuple]) -> float:
    x = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True)
    start = time.process_time()  # other programs on the machine do not count
    run(x)[0].sum().backward()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--speed", nargs="*", metavar="CELL", help="measure results/cells_speed.csv first, for these cells or for all"
    )
    speed = parser.parse_args().speed
    if speed is not None:
        measure_speeds(speed or names("cell"))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(measure_marks()), encoding="utf-8")


if __name__ == "__main__":
    main()
