"""A comparison as a self-contained HTML page: tables, conclusions, learning curves, quality against cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape

import numpy

from seqzoo.analysis.comparison import Table, options
from seqzoo.analysis.comparison_tables import explanation, grid, header, sentences
from seqzoo.analysis.finished_runs import RunRecord
from seqzoo.analysis.svg import COLOURS, GREY, STYLE, Dot, Line, Plot, pareto_front
from seqzoo.contracts.errors import printable

AXES = {"step": "updates", "tokens": "tokens", "seconds": "seconds of training"}
PRICES = {
    "seconds": "seconds of training",
    "cpu_seconds": "CPU seconds of training",
    "training_bytes": "bytes of memory to train",
    "flops_per_token": "FLOPs per token",
    "parameters": "parameters",
}
POINTS = 80
"""Maximum number of points of a learning curve."""
PAGE = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --soft: #999; --line: #444; --page: #181818; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto;
  max-width: 1500px; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.5rem; text-align: right; border-bottom: 1px solid var(--line); font-size: 0.85rem; }
th:first-child, td:first-child { text-align: left; min-width: 9rem; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); }
th { font-weight: 600; vertical-align: bottom; } td .whole { white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; }
.legend span { margin-right: 1.2rem; white-space: nowrap; } .soft { color: var(--soft); }
.swatch { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 2px; margin-right: 0.4rem; }
"""


def as_html(tables: Sequence[Table], problems: Sequence[str]) -> str:
    """The HTML page.

    Args:
        tables: from `compare`.
        problems: messages about runs that are left out.
    """
    count = sum(len(row.runs) for table in tables for row in table.rows)
    body = [f"<h1>{count} runs compared</h1>", *(part for table in tables for part in _section(table))]
    if problems:
        items = "".join(f"<li>{_text(problem)}</li>" for problem in problems)
        body.append(f"<h2>Left out</h2><ul>{items}</ul>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>seqzoo compare</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{PAGE}{STYLE}</style></head>\n<body>" + "\n".join(body) + "</body></html>\n"
    )


def _section(table: Table) -> list[str]:
    colours = {row.label: COLOURS[n] if n < len(COLOURS) else GREY for n, row in enumerate(table.rows)}
    better = "higher is better" if table.higher_is_better else "lower is better"
    measured = [name for name in PRICES if any(math.isfinite(row.costs[name]) for row in table.rows)]
    equal = [name for name in measured if len(table.rows) > 1 and _within_a_twentieth(table, name)]
    same = f" Within 5 % of each other: {', '.join(table.worded(PRICES[name]) for name in equal)}." if equal else ""
    about = (
        f"{_text(table.metric)} on {table.split}, {better}; bars are the intervals of the table. The dashed line is "
        f"the Pareto front: nothing is both cheaper and better.{same}"
    )
    parts = [
        f"<h2>{_text(table.title)}</h2>",
        _grid(header(table), grid(table), colours),
        "<ul>" + "".join(f"<li>{_text(text)}</li>" for text in sentences(table)) + "</ul>",
        f'<p class="soft">{_text(explanation(table))}</p>',
        f"<h3>Quality against cost</h3><p class='soft'>{about}</p>",
        _plots([_against_cost(table, name, colours) for name in measured if name not in equal]),
        "<h3>Learning curves</h3><p class='soft'>The mean over seeds; the band spans the seeds.</p>",
        _legend(colours),
        *(_plots([_curves(table, tag, axis, colours) for axis in AXES]) for tag in _tags(table)),
    ]
    if len(table.rows) > 1:
        parts += ["<h3>Differences</h3>", _difference_grid(table), *_configurations(table)]
    return parts


def _text(text: str) -> str:
    return escape(printable(text))


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], colours: dict[str, str]) -> str:
    top = "".join(f"<th>{_text(text)}</th>" for text in head)
    lines = []
    for row in rows:
        swatch = f'<span class="swatch" style="background:{colours[row[0]]}"></span>' if row[0] in colours else ""
        lines.append(f"<td>{swatch}{_text(row[0])}</td>" + "".join(f"<td>{_number(text)}</td>" for text in row[1:]))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(text: str) -> str:
    """A score with its interval on the next line, so that tables fit on the page."""
    return "<br/>".join(f'<span class="whole">{_text(line)}</span>' for line in re.split(r" (?=[\[(])", text))


def _legend(colours: dict[str, str]) -> str:
    spans = [
        f'<span><span class="swatch" style="background:{colour}"></span>{_text(label)}</span>'
        for label, colour in colours.items()
        if colour != GREY
    ]
    others = sum(colour == GREY for colour in colours.values())
    rest = f'<span><span class="swatch" style="background:{GREY}"></span>{others} others</span>' if others else ""
    return f'<p class="legend">{"".join(spans)}{rest}</p>'


def _plots(plots: Sequence[Plot]) -> str:
    return '<div class="plots">' + "".join(f"<div>{plot.svg()}</div>" for plot in plots) + "</div>"


def _within_a_twentieth(table: Table, price: str) -> bool:
    costs = [row.costs[price] for row in table.rows if math.isfinite(row.costs[price])]
    return max(costs) <= 1.05 * min(costs)


def _against_cost(table: Table, price: str, colours: dict[str, str]) -> Plot:
    front = pareto_front(
        [(row.costs[price], row.scores[table.metric].mean) for row in table.rows], table.higher_is_better
    )
    dots = []
    for row in table.rows:
        summary = row.scores[table.metric]
        named = len(table.rows) <= len(COLOURS) or (row.costs[price], summary.mean) in front
        dots.append(
            Dot(row.label, colours[row.label], row.costs[price], summary.mean, summary.low, summary.high, named)
        )
    positive = [dot.x for dot in dots if dot.x > 0]
    spread = bool(positive) and max(positive) > 8 * min(positive)
    axis = table.worded(PRICES[price])
    return Plot(f"by {axis}", axis, table.metric, [], dots, front, spread)


def _tags(table: Table) -> list[str]:
    """The tags of the learning curves: the metric that selects checkpoints, and the losses."""
    metric = "valid/loss" if table.metric == "loss_nats" else f"valid/{table.metric}"
    return list(dict.fromkeys([metric, "valid/loss", "train/loss"]))


def _curves(table: Table, tag: str, axis: str, colours: dict[str, str]) -> Plot:
    # the best rows are drawn last, on top
    lines = [Line(row.label, colours[row.label], band(row.runs, tag, axis)) for row in reversed(table.rows)]
    label = table.worded(AXES[axis])
    return Plot(f"{tag} by {label}", label, tag, [line for line in lines if line.points])


def band(runs: Sequence[RunRecord], tag: str, axis: str) -> list[tuple[float, float, float, float]]:
    """The mean and the range of a learning curve over runs.

    Args:
        runs: of one configuration.
        tag: of the measurement.
        axis: "step", "tokens" or "seconds".

    Returns:
        (x, mean, lowest, highest) at each update that all runs have reached, by linear interpolation; x is the mean
        over the runs.
    """
    curves = []
    for run in runs:
        points = [(point["step"], point[axis], point[tag]) for point in run.curves if tag in point and axis in point]
        points = [point for point in points if all(map(math.isfinite, point))]
        if points:
            curves.append(numpy.array(sorted(points), dtype=float).T)
    if not curves:
        return []
    begin, end = max(steps[0] for steps, _, _ in curves), min(steps[-1] for steps, _, _ in curves)
    shared = [
        step for step in sorted({float(step) for steps, _, _ in curves for step in steps}) if begin <= step <= end
    ]
    if len(shared) > POINTS:
        shared = list(numpy.linspace(begin, end, POINTS))
    places = numpy.array([numpy.interp(shared, steps, x) for steps, x, _ in curves])
    values = numpy.array([numpy.interp(shared, steps, y) for steps, _, y in curves])
    return [
        (float(x), float(column.mean()), float(column.min()), float(column.max()))
        for x, column in zip(places.mean(0), values.T, strict=True)
    ]


def _difference_grid(table: Table) -> str:
    """A table of the differences of rows, positive where the row is better than the column."""
    rows = []
    others = table.rows[: len(COLOURS)]
    for row in table.rows:
        line = [row.label]
        for other in others:
            difference = table.difference(row, other)
            text = f"{difference.summary.mean:+.4f} (p {difference.p:.2g})" if difference.summary.size else "-"
            line.append("" if row is other else text)
        rows.append(line)
    best = "" if len(others) == len(table.rows) else f", against the best {len(others)}"
    about = f"<p class='soft'>{_text(table.metric)}: row minus column{best}; positive where the row is better.</p>"
    return about + _grid(["", *(row.label for row in others)], rows, {})


def _configurations(table: Table) -> list[str]:
    """The options in which the rows differ."""
    values = [options(row.runs[0]) for row in table.rows]
    names = list(dict.fromkeys(name for of_row in values for name in of_row))
    differing = [name for name in names if len({repr(of_row.get(name)) for of_row in values}) > 1]
    if not differing:
        return []
    rows = [
        [row.label, *(str(of_row.get(name, "")) for name in differing)]
        for row, of_row in zip(table.rows, values, strict=True)
    ]
    return ["<h3>Options that differ</h3>", _grid(["", *differing], rows, {})]
