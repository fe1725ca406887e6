"""Tables of results as CSV files; all values are strings."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table; empty if there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table, replacing the file; missing values are empty."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


MEASURED = ("part", "metric", "value", "command", "seed", "hardware", "commit", "date", "remark")
"""The columns of results/beyond.csv, which several programs of scripts/ write to."""


def add_measurements(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows with the columns MEASURED to a table; they replace those of the same part, metric and hardware."""
    table = {
        tuple(str(row[name]) for name in ("part", "metric", "hardware")): row for row in [*read_table(path), *rows]
    }
    write_table(path, MEASURED, (table[key] for key in sorted(table)))
