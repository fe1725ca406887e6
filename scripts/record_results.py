"""Add finished runs to a table in results/, and write docs/RESULTS.md from all tables.

python scripts/record_results.py RUN_DIR ... --to results/spine.csv
python scripts/record_results.py                # only write the page
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS, PAGE = REPOSITORY / "results", REPOSITORY / "docs" / "RESULTS.md"
COLUMNS = (
    "data", "split", "metric", "value", "seed", "cell", "backbone", "task", "parameters", "seconds",
    "cpu_seconds", "device", "threads", "command", "commit", "date",
)  # fmt: skip
SHOWN = (
    "split", "metric", "value", "seed", "cell", "backbone", "parameters", "seconds", "cpu_seconds", "device", "threads",
)  # fmt: skip
KEY = ("data", "split", "metric", "seed", "command", "device")
HEADER = """# Results

Every number was measured by a run of this repository. `scripts/record_results.py` copies it from the run's
`metrics.json` into `results/*.csv` and writes this page; nobody types one. A row is one metric of one run; seconds are
those of the training, validation included, and CPU seconds the time that its threads were at work meanwhile (empty for
runs from before it was measured). To see a number again, run its command, with `SEQZOO_DATA` naming the folder
of the data.
"""


def rows_of(run: Path) -> list[dict[str, str]]:
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


def read_table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(runs: list[Path], path: Path) -> None:
    """Rows of the same command, seed and device replace older ones."""
    table = {tuple(row[name] for name in KEY): row for row in read_table(path)}
    for run in runs:
        table |= {tuple(row[name] for name in KEY): row for row in rows_of(run)}
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table[key] for key in sorted(table))


def page() -> str:
    """docs/RESULTS.md, from all tables of runs."""
    sections = [HEADER]
    for path in sorted(RESULTS.glob("*.csv")):
        rows = read_table(path)
        if not rows or not set(KEY) <= set(rows[0]):
            continue
        sections.append(f"## {path.stem}\n")
        for data in sorted({row["data"] for row in rows}):
            sections.append(f"### {data}\n")
            sections.append(f"| {' | '.join(name.replace('cpu_', 'CPU ') for name in SHOWN)} |")
            sections.append("|---" * len(SHOWN) + "|")
            own = [row for row in rows if row["data"] == data]
            for row in own:
                shown = {**row, "value": f"**{float(row['value']):.4g}**", "parameters": f"{int(row['parameters']):,}"}
                sections.append("| " + " | ".join(shown.get(name, "") for name in SHOWN) + " |")
            for command, commit, date in sorted({(row["command"], row["commit"], row["date"]) for row in own}):
                sections.append(f"\n`{command}` ({commit}, {date})")
            sections.append("")
    return "\n".join(sections).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run directories")
    parser.add_argument("--to", type=Path, default=RESULTS / "spine.csv", help="the table")
    chosen = parser.parse_args()
    if chosen.runs:
        record(chosen.runs, chosen.to)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
