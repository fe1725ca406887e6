"""Add finished runs to a table in results/, and write docs/RESULTS.md from all tables.

python scripts/record_results.py RUN_DIR ... --to results/core_tasks.csv
python scripts/record_results.py --baselines task=captioning data=flickr8k 'task.metrics=[cider_d]' --to ...
python scripts/record_results.py                # only write the page
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import re
import shlex
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

import seqzoo
from seqzoo.analysis import study
from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.configuration import registry
from seqzoo.runs.provenance import commit, hardware

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS, PAGE = REPOSITORY / "results", REPOSITORY / "docs" / "RESULTS.md"
STUDY = "study.csv"  # has a section of its own
COLUMNS = (
    "data", "split", "metric", "value", "seed", "cell", "backbone", "task", "parameters", "seconds",
    "cpu_seconds", "device", "threads", "command", "commit", "date",
)  # fmt: skip
Row = dict[str, str]
KEY = ("data", "split", "metric", "seed", "cell", "command", "device")
WITHOUT = "none"  # backbone of baselines, whose name is in the column of the cell
SHOWN = ("data", "test", "validation", "runs", "cell", "parameters", "seconds", "CPU seconds", "command")
# commands that differ only in these options share a row of the page; a baseline is chosen by the metric
SEED, FOLD, METRIC = r" (--seed |seed=)\S+", r" data\.fold=\S+", r"(?<=^seqzoo baseline )(.*task\.metrics=\[)\w+"
HEADER = """# Results

Every number is from a run of this repository: `scripts/record_results.py` copies scores from the `metrics.json` of a
run, or those of baselines, into `results/*.csv` and writes this page. Each row is one command. Scores are means over
its seeds, or over the folds of cross-validation, ± the standard deviation if there are several runs. The evaluated
weights were selected on the validation split, and baselines, too, for each metric separately where the command has
`task.metrics=[...]`. Seconds are the wall-clock time of training, including validation, on a machine that may have been
shared; CPU seconds are the CPU time of the training's threads (empty for runs before it was recorded). The CSV files
list each run with its revision and date. To reproduce a number, get the data by `seqzoo data fetch NAME`, or set the
environment variable `SEQZOO_DATA` to its folder, and run the command.
"""


def rows_of(run: Path) -> list[Row]:
    """One row for each held-out split and metric of a finished run."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    common = {
        **{name: metrics["choices"][name] for name in ("data", "cell", "backbone", "task")},
        **{
            name: metrics[name]
            for name in ("seed", "parameters", "seconds", "device", "threads", "command", "commit", "date")
        },
        "cpu_seconds": metrics.get("cpu_seconds", ""),
    }
    return [
        {name: str({**common, "split": split, "metric": metric, "value": f"{value:.6g}"}[name]) for name in COLUMNS}
        for split in ("validation", "test")
        for metric, value in metrics.get(split, {}).items()
    ]


def rows_of_baselines(options: list[str]) -> list[Row]:
    """One row for each held-out split and metric of each baseline that `seqzoo baseline` scores with these options."""
    torch.set_num_threads(1)
    choices = seqzoo.compose(*options).choices
    common = {
        **{name: choices[name] for name in ("data", "task")},
        "seed": 0,
        "backbone": WITHOUT,
        "parameters": 0,
        "cpu_seconds": "",
        "threads": 1,
        "device": hardware(torch.device("cpu")),
        "command": shlex.join(["seqzoo", "baseline", *options]),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }
    rows = []
    for baseline in seqzoo.baseline(*options):
        of_baseline = {**common, "cell": baseline.name, "seconds": baseline.seconds}
        for split, scores in baseline.scores.items():
            for metric, value in scores.items():
                row = {**of_baseline, "split": split, "metric": metric, "value": f"{value:.6g}"}
                rows.append({name: str(row[name]) for name in COLUMNS})
    return rows


def record(rows: Iterable[Row], path: Path) -> None:
    """Rows of the same command, seed and device replace older ones."""
    table = {tuple(row[name] for name in KEY): row for row in [*read_table(path), *rows]}
    write_table(path, COLUMNS, (table[key] for key in sorted(table)))


def page() -> str:
    """docs/RESULTS.md, from all tables of runs."""
    sections = [HEADER]
    if compared := read_table(RESULTS / STUDY):
        sections += ["## The study", "", study.section(compared, registry.names("cell"))]
    for path in sorted(RESULTS.glob("*.csv")):
        rows = read_table(path)
        if path.name == STUDY or not rows or not set(KEY) <= set(rows[0]):
            continue
        devices = "; ".join(sorted({f"{row['device']}, threads: {row['threads']}" for row in rows}))
        title = path.stem.replace("_", " ").capitalize()
        sections += [f"## {title}", "", devices, "", f"| {' | '.join(SHOWN)} |", "|---" * len(SHOWN) + "|"]
        for (data, command, cell), runs in _grouped(
            rows, lambda row: (row["data"], _shared(row["command"]), row["cell"])
        ):
            scores = [_scores([row for row in runs if row["split"] == split]) for split in ("test", "validation")]
            count = len({row["command"] for row in runs})
            size = f"{int(runs[0]['parameters']):,}"
            spent = (_mean(runs, name) for name in ("seconds", "cpu_seconds"))
            cells = (data, *scores, str(count), cell, size, *spent, f"`{command}`")
            sections.append(f"| {' | '.join(cells)} |")
        sections += ["", *_margins(rows)]
    return "\n".join(sections).rstrip() + "\n"


def _margins(rows: list[Row]) -> list[str]:
    """The difference between trained models and the best baseline of the same data, if it is recorded."""
    lines = []
    for data, of_data in _grouped([row for row in rows if row["split"] == "test"], lambda row: row["data"]):
        best: dict[str, float] = {}
        for row in of_data:
            if row["backbone"] == WITHOUT:
                value = float(row["value"])
                best[row["metric"]] = max(value, best.get(row["metric"], value))
        trained = [row for row in of_data if row["backbone"] != WITHOUT and row["metric"] in best]
        for command, runs in _grouped(trained, lambda row: _shared(row["command"])):
            scores = _grouped(runs, lambda row: row["metric"])
            means = ((metric, statistics.fmean(float(row["value"]) for row in same)) for metric, same in scores)
            margins = (f"{metric} {mean - best[metric]:+.2f}" for metric, mean in means)
            lines.append(f"- {data}, `{command}`: {', '.join(margins)}")
    return ["Difference from the best baseline, on the test split:", "", *lines, ""] if lines else []


def _shared(command: str) -> str:
    """A command without the options that its repetitions differ in."""
    return re.sub(METRIC, r"\1...", re.sub(FOLD, " data.fold=...", re.sub(SEED, "", command)))


def _scores(rows: list[Row]) -> str:
    """Each metric with its mean and, over several runs, its standard deviation."""
    texts = []
    for metric, of_metric in _grouped(rows, lambda row: row["metric"]):
        values = [float(row["value"]) for row in of_metric]
        spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
        texts.append(f"{metric} **{statistics.fmean(values):.4g}**{spread}")
    return "<br>".join(texts)


def _mean(rows: list[Row], column: str) -> str:
    values = [float(row[column]) for row in rows if row.get(column)]
    return f"{statistics.fmean(values):,.0f}" if values else ""


def _grouped(rows: list[Row], key: Callable[[Row], Any]) -> list[tuple[Any, list[Row]]]:
    return [(name, list(group)) for name, group in itertools.groupby(sorted(rows, key=key), key)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run directories")
    parser.add_argument("--baselines", nargs="+", metavar="OPTION=VALUE", help="options of `seqzoo baseline`")
    parser.add_argument("--to", type=Path, default=RESULTS / "core_tasks.csv", help="table to add the runs to")
    chosen = parser.parse_args()
    rows = [row for run in chosen.runs for row in rows_of(run)]
    if chosen.baselines:
        rows += rows_of_baselines(chosen.baselines)
    if rows:
        record(rows, chosen.to)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    for name, drawn in study.pictures(read_table(RESULTS / STUDY)).items():
        (PAGE.parent / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
