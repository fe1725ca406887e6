"""Write docs/SPEED.md and its pictures from the measurements in results/speed_{cpu,gpu,toolkits}.csv.

python scripts/speed_page.py     # also run at the end of scripts/benchmark.py and scripts/benchmark_toolkits.py
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqzoo.analysis.result_tables import read_table

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs/SPEED.md"
TABLES = {name: REPOSITORY / f"results/speed_{name}.csv" for name in ("cpu", "gpu", "toolkits")}
PICTURES = {name: REPOSITORY / f"docs/speed_{name}.png" for name in ("cpu", "gpu")}

Row = dict[str, str]

INTRODUCTION = """# Speed

`python scripts/benchmark.py` measures these times, stores them in `results/speed_cpu.csv` and writes this page. The
implementations of one setting take turns in the same process; times are medians in milliseconds. Before they are timed,
implementations with the same weights must agree in outputs and gradients. Higher ratios are better.

- `seqzoo auto` is the default engine; `fused`, `torch` and `reference` are the values of `cell.engine`.
- T, B, I, H: time steps, batch size, input size and hidden size.
- MiB kept: memory that a forward pass keeps for the backward pass.

![Speed of seqzoo auto relative to torch.nn](speed_cpu.png)
"""
UNMEASURED = """## GPU

Not measured yet. `python scripts/benchmark.py --device cuda` measures on a GPU and writes `results/speed_gpu.csv`.
"""
EXPLAINED = {
    "equal": """All sequences have the same length. Ratio: the time of torch.nn (the faster of its layer and a loop over
its cell), divided by the time of this implementation.""",
    "lengths": """Lengths are spread evenly from 20 to 100 % of T. Ratio: the time of torch.nn (the faster of padded and
packed sequences), divided by the time of this implementation.""",
    "bfloat16": """Two layers in bfloat16. Ratio: the time of torch.nn, divided by the time of this implementation.""",
    "variants": """Forward and backward passes. Ratio: multiplications per second relative to `nn.LSTM` in the same
process.""",
    "loop": """Forward, backward, clipping, AdamW. Ratio: the time of a hand-written loop around
`nn.LSTM` (packed for the tagger, whose sentences differ in length), divided by the time of seqzoo.""",
    "linear": """Long sequences, forward and backward. Ratio: the time of a loop
over the cell, divided by the time of this implementation. `seqzoo reference` also runs step by step, but projects the
inputs of all steps at once.""",
}
TITLES = {
    "equal": "Equal lengths",
    "lengths": "Variable lengths",
    "bfloat16": "bfloat16",
    "variants": "Cells that torch.nn does not have",
    "loop": "Whole updates",
    "linear": "Cells that are parallel in time",
}
TOOLKITS_EXPLAINED = """seqzoo and a toolkit take turns in training the same layers with the same optimizer on the same
batches, which are from a whole epoch. Ratio: the time of the toolkit, divided by that of seqzoo."""


GOALS = """Minimum ratios that seqzoo aims for, and the lowest measured ones. Settings are cell, pass, T, B, I, H."""


class Goal(NamedTuple):
    """A goal for ratios.

    Attributes:
        text: a description.
        least: the lower bound.
        ratios: the measured ratios by name.
        why: reason why some are below it.
    """

    text: str
    least: float
    ratios: dict[str, float]
    why: str = ""


def goals(rows: list[Row], toolkits: list[Row]) -> Iterator[Goal]:
    """The goals on a CPU, with the measured ratios."""

    def ratios(part: str, cells: set[str] | None = None, least_rows: int = 1) -> list[Row]:
        return [
            row
            for row in rows
            if row["part"] == part
            and row["implementation"] == "seqzoo auto"
            and (cells is None or row["cell"] in cells)
            and int(row["B"]) >= least_rows
        ]

    def named(selected: list[Row]) -> dict[str, float]:
        return {
            f"{row['cell']}, {row['pass']}, {', '.join(row[letter] for letter in 'TBIH')}": float(row["ratio"])
            for row in selected
        }

    def means(selected: list[Row]) -> dict[str, float]:
        groups: dict[str, list[float]] = {}
        for row in selected:
            groups.setdefault(f"{row['cell']}, {row['pass']}", []).append(float(row["ratio"]))
        return {name: statistics.geometric_mean(values) for name, values in groups.items()}

    loops = {
        (row["cell"], row["B"]): float(row["milliseconds"])
        for row in rows
        if row["part"] == "variants" and row["implementation"] == "loop over the cell"
    }
    against_loop = [
        {**row, "ratio": str(loops[row["cell"], row["B"]] / float(row["milliseconds"]))} for row in ratios("variants")
    ]
    updates = [row for row in toolkits if row["implementation"] == "seqzoo" and "beam" not in row["task"]]
    alone = [row for row in against_loop if row["B"] == "1"]
    yield Goal("equal lengths, each shape and pass, relative to the faster of torch.nn", 0.97, named(ratios("equal")))
    yield Goal("equal lengths, gru, mean", 1.5, means(ratios("equal", {"gru"})))
    yield Goal(
        "variable lengths, mean of each cell and pass", 1.5, means(ratios("lengths")),
        "A packed nn.LSTM skips padded steps, too: only packing, padding and the step itself can be faster.",
    )  # fmt: skip
    yield Goal(
        "cells that torch.nn does not have, at 16 rows or more, relative to the rate of nn.LSTM", 0.8,
        named(ratios("variants", least_rows=16)),
        "The rate counts matrix products only, not layer normalisation with three means and variances per step.",
    )  # fmt: skip
    yield Goal("cells that torch.nn does not have, relative to a loop over the cell", 1.0, named(against_loop))
    yield Goal("cells that torch.nn does not have, at one row, relative to a loop over the cell", 5.0, named(alone))
    yield Goal(
        "cells that are parallel in time, over 1,024 to 16,384 steps, relative to a loop over the cell", 10.0,
        named(ratios("linear")),
        "For sru and qrnn, the products with the inputs, which every implementation has, dominate the remaining time.",
    )  # fmt: skip
    yield Goal("a whole update, relative to a hand-written loop", 0.97, named(ratios("loop")))
    yield Goal(
        "whole updates, relative to toolkits", 1.5,
        {row["task"]: float(row["ratio"]) for row in updates},
        "An update of a translator mostly consists of matrix products, which both compute with the same library.",
    )  # fmt: skip


def goal_lines(rows: list[Row], toolkits: list[Row]) -> list[str]:
    lines = ["| goal | minimum | lowest | below the minimum |", "|---|---|---|---|"]
    reasons = []
    for goal in goals(rows, toolkits):
        if not goal.ratios:
            continue
        missing = sorted((ratio, name) for name, ratio in goal.ratios.items() if ratio < goal.least)
        shown = "; ".join(f"{name}: {ratio:.3g}" for ratio, name in missing[:4])
        shown += f"; and {len(missing) - 4} more" if len(missing) > 4 else ""
        lines.append(f"| {goal.text} | {goal.least:g} | {min(goal.ratios.values()):.3g} | {shown or '-'} |")
        if missing and goal.why:
            reasons.append(f"- {goal.text}: {goal.why}")
    return [*lines, "", *reasons, ""] if reasons else [*lines, ""]


def page(tables: dict[str, list[Row]]) -> str:
    """The text of docs/SPEED.md."""
    lines = [INTRODUCTION]
    cpu, gpu = tables["cpu"], tables["gpu"]
    by_threads = {
        f"{threads} thread{'' if threads == '1' else 's'}": [row for row in cpu if row["threads"] == threads]
        for threads in sorted({row["threads"] for row in cpu})
    }
    for title, rows in by_threads.items():
        lines += [f"## Goals, {title}", "", GOALS, ""]
        lines += goal_lines(rows, [row for row in tables["toolkits"] if row["threads"] == rows[0]["threads"]])
    for title, rows in by_threads.items():
        lines += section(title, rows)
    lines += (
        ["## Whole updates, compared with toolkits", "", *_toolkits(tables["toolkits"]), ""]
        if tables["toolkits"]
        else []
    )
    lines += section("GPU", gpu) if gpu else [UNMEASURED]
    return "\n".join(lines).rstrip() + "\n"


def section(title: str, rows: list[Row]) -> list[str]:
    """The measurements on one machine with one number of threads."""
    first = rows[0]
    source = f"`{first['command']}` ({', '.join(dict.fromkeys(row['commit'] for row in rows))})"
    lines = [f"## {title}", "", f"{first['device']}, torch {first['torch']}; {source}.", "", *_summary(rows), ""]
    for part, text in EXPLAINED.items():
        measured = [row for row in rows if row["part"] == part]
        if not measured:
            continue
        lines += [f"### {TITLES[part]}", "", text, ""]
        lines += [
            "| cell | pass | T, B, I, H | implementation | ms | ratio | MiB kept |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in measured:
            shape = ", ".join(row[letter] for letter in "TBIH")
            strong = "**" if row["implementation"] == "seqzoo auto" else ""
            lines.append(
                f"| {row['cell']} | {row['pass']} | {shape} | {row['implementation']} | {row['milliseconds']}"
                f" | {strong}{row['ratio']}{strong} | {row.get('kept_mib') or ''} |"
            )
        lines.append("")
    return lines


def _toolkits(rows: list[Row]) -> list[str]:
    """The measurements of scripts/benchmark_toolkits.py."""
    first = rows[0]
    measured = f"{first['device']}, {first['threads']} thread, torch {first['torch']}"
    source = f"{measured}; `{first['command']}` ({first['commit']})"
    lines = [f"{source}.", "", TOOLKITS_EXPLAINED, ""]
    lines += ["| task | implementation | parameters | batches | seconds | ratio |", "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = (f"{int(row['parameters']):,}", row["batches"], row["seconds"], row["ratio"])
        lines.append(f"| {' | '.join((row['task'], row['implementation'], *numbers))} |")
    return lines


def _summary(rows: list[Row]) -> list[str]:
    """Geometric means and lowest ratios of the default."""
    lines = ["| `seqzoo auto` | geometric mean | lowest |", "|---|---|---|"]
    for part in EXPLAINED:
        for cell in dict.fromkeys(row["cell"] for row in rows if row["part"] == part):
            for what in ("training", "forward"):
                ratios = [
                    float(row["ratio"])
                    for row in rows
                    if row["implementation"] == "seqzoo auto"
                    and (row["part"], row["cell"], row["pass"]) == (part, cell, what)
                ]
                if ratios:
                    mean = statistics.geometric_mean(ratios)
                    lines.append(f"| {TITLES[part]}: {cell}, {what} | {mean:.3g} | {min(ratios):.3g} |")
    return lines


def draw(rows: list[Row], picture: Path) -> None:
    """The ratios of `seqzoo auto` in training relative to torch.nn, one dot per shape."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    groups: dict[str, list[float]] = {}
    for row in rows:
        if row["implementation"] == "seqzoo auto" and row["pass"] == "training" and row["part"] in ("equal", "lengths"):
            threads = f"{row['threads']} thread{'' if row['threads'] == '1' else 's'}"
            groups.setdefault(f"{row['cell']}, {row['part']}, {threads}", []).append(float(row["ratio"]))
    figure, axes = plt.subplots(figsize=(8, 0.35 * len(groups) + 1.2), layout="constrained")
    for place, (label, ratios) in enumerate(groups.items()):
        axes.scatter(ratios, [place] * len(ratios), color="tab:green" if "lengths" in label else "tab:blue", zorder=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("speed relative to the faster of torch.nn, forward and backward; one dot per shape")
    axes.set_title(f"seqzoo auto on {rows[0]['device']}")
    figure.savefig(picture, dpi=110)


def main() -> None:
    tables = {name: read_table(path) for name, path in TABLES.items()}
    PAGE.write_text(page(tables), encoding="utf-8")
    for name, picture in PICTURES.items():
        if tables[name]:
            draw(tables[name], picture)


if __name__ == "__main__":
    main()
