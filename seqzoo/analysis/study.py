"""The comparison of all cells on the core tasks as a page: a table, conclusions and two figures."""

from __future__ import annotations

import functools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from seqzoo.analysis.catalogue import cell_info
from seqzoo.analysis.svg import BLUE, GREY, HEIGHT, ORANGE, WIDTH, Axis, Dot, Plot, document, pareto_front
from seqzoo.configuration import registry
from seqzoo.configuration.budget import as_number
from seqzoo.contracts.counting import counted

COLUMNS = (
    "task", "size", "data", "cell", "seed", "split", "metric", "better", "value", "parameters", "tokens_per_second",
    "updates", "seconds", "cpu_seconds", "device", "threads", "command", "commit", "date", "remark",
)  # fmt: skip
Row = dict[str, str]
SIZE = "200k"
"""Number of parameters in the main comparison; a few cells have runs of other sizes, too."""
PLAIN, REFERENCE = "elman", "lstm"


@functools.cache
def is_linear(cell: str) -> bool:
    """Whether a cell is linear in the state; False for rows of a cell that no longer exists."""
    return cell in registry.names("cell") and cell_info(cell).linear


@functools.cache
def is_gated(cell: str) -> bool:
    """Whether a cell has gates, but is not linear in the state."""
    return cell in registry.names("cell") and cell_info(cell).gated and not is_linear(cell)


@dataclass
class Column:
    """The measurements on one task at one size.

    Args:
        task: name of the task.
        data: name of the data set.
        split: the split of the scores.
        metric: name of the score.
        sign: 1 if higher is better, else -1.
        scores: one number per seed, by cell.
        speeds: tokens per second, one number per seed, by cell.
    """

    task: str
    data: str
    split: str
    metric: str
    sign: int
    scores: dict[str, list[float]] = field(default_factory=dict)
    speeds: dict[str, list[float]] = field(default_factory=dict)

    def mean(self, cell: str) -> float:
        """The mean score of a cell."""
        return statistics.fmean(self.scores[cell])

    def speed(self, cell: str) -> float:
        """The mean number of tokens per second of a cell."""
        return statistics.fmean(self.speeds[cell])

    @property
    def best_first(self) -> list[str]:
        """The cells by their mean score, best first."""
        return sorted(self.scores, key=lambda cell: -self.sign * self.mean(cell))

    @property
    def noise(self) -> float:
        """Twice the standard error of the difference of two cells, with the variance over seeds pooled over all cells;
        NaN if no cell has two seeds.
        """
        several = [values for values in self.scores.values() if len(values) > 1]
        freedom = sum(len(values) - 1 for values in several)
        if not freedom:
            return math.nan
        variance = sum((len(values) - 1) * statistics.variance(values) for values in several) / freedom
        return 2 * math.sqrt(2 * variance / statistics.fmean(map(len, several)))

    def is_noise(self, difference: float) -> bool:
        """Whether a difference this large may be due to the seeds alone; False if the noise is unknown."""
        return abs(difference) <= self.noise

    @property
    def unit(self) -> str:
        return self.metric.replace("_", " ")

    @property
    def axis(self) -> str:
        return f"{self.unit}, {'higher' if self.sign > 0 else 'lower'} is better"


class Study:
    """The rows of results/study.csv by task; rows without a value are runs that have not finished.

    Args:
        rows: of the table.

    Attributes:
        planned: the cells that have rows.
        columns: measurements at the main size by task; None: not run.
        run: measurements of the tasks that have any.
        ranked: those with more than half as many cells as the task with most.
        compared: the cells that have been run on all ranked tasks, best first.
    """

    def __init__(self, rows: Sequence[Row]):
        self.rows = rows
        self.done = [row for row in rows if row["value"]]
        self.tasks = list(dict.fromkeys(row["task"] for row in rows))
        self.planned = {row["cell"] for row in rows}
        self.sizes = sorted({row["size"] for row in rows}, key=as_number)
        self.columns = {task: self.column(task, SIZE) for task in self.tasks}
        self.run = [column for column in self.columns.values() if column is not None]
        most = max((len(column.scores) for column in self.run), default=0)
        self.ranked = [column for column in self.run if len(column.scores) > most / 2]
        everywhere = [set(column.scores) for column in self.ranked]
        complete = sorted(set.intersection(*everywhere)) if everywhere else []  # ties are sorted by name
        self.compared = sorted(complete, key=self.mean_rank)
        rest = dict.fromkeys(cell for column in self.run for cell in column.scores if cell not in self.compared)
        self.cells = [*self.compared, *rest]

    def column(self, task: str, size: str) -> Column | None:
        """The measurements on a task at a size; None: not run."""
        rows = [row for row in self.done if (row["task"], row["size"]) == (task, size)]
        if not rows:
            return None
        sign = 1 if rows[0]["better"] == "higher" else -1
        column = Column(task, rows[0]["data"], rows[0]["split"], rows[0]["metric"], sign)
        for row in rows:
            column.scores.setdefault(row["cell"], []).append(float(row["value"]))
            column.speeds.setdefault(row["cell"], []).append(float(row["tokens_per_second"]))
        return column

    def mean_rank(self, cell: str) -> float:
        """Mean rank over the tasks that most cells have run; 1 is the best."""
        return statistics.fmean(column.best_first.index(cell) + 1 for column in self.ranked)

    def relative_speed(self, cell: str) -> float:
        """Tokens per second relative to the reference, geometric mean over tasks; nan if no task has both."""
        shares = [
            column.speed(cell) / column.speed(REFERENCE)
            for column in self.run
            if cell in column.speeds and REFERENCE in column.speeds
        ]
        return statistics.geometric_mean(shares) if shares else math.nan


def section(rows: Sequence[Row], cells: Sequence[str]) -> str:
    """The section in Markdown, with links to the figures of `pictures`.

    Args:
        rows: of results/study.csv.
        cells: the names of all cells.
    """
    study = Study(rows)
    hours = sum(float(row["cpu_seconds"]) for row in study.done) / 3600
    devices = ", ".join(sorted({f"{row['device']}, threads: {row['threads']}" for row in study.done}))
    about = (
        f"{len(study.planned)} of the {len(cells)} cells on {counted(len(study.tasks), 'task')}, with one layer, at "
        f"{SIZE} parameters{_budget(study)}, and the same settings for all. Cells that are "
        "linear in the state were designed for deep stacks with other layers in between. They have "
        "fewer weight matrices, and therefore more units at the same number of parameters, usually several times as "
        "many. The seconds are CPU time without validation. "
        f"{len(study.done)} of {len(study.rows)} runs are finished, after {hours:.1f} CPU hours "
        f"({devices or 'no device yet'}); `make study` runs the others. Scores are means over seeds, ± the standard "
        "deviation if there are several. Speed is training tokens per second relative to the LSTM. Cells are ordered "
        "by their mean rank over the tasks on which most cells have been trained."
    )
    untrained = sorted({*cells, *study.planned}.difference(study.cells))
    remark = f"Not trained yet: {', '.join(untrained)}." if untrained else ""
    parts = [about, _table(study), remark, "\n".join(f"- {text}" for text in sentences(study)), _sizes(study)]
    if study.run:
        parts += [f"![{about}]({name})" for name, about in PICTURES.items()]
        parts.append(_commands(study))
    return "\n\n".join(part for part in parts if part) + "\n"


def _budget(study: Study) -> str:
    matches = (re.search(r" budget\.seconds=(\S+)", row["command"]) for row in study.done)
    return "".join(f" and {value} seconds of training" for value in sorted({match[1] for match in matches if match}))


def _table(study: Study) -> str:
    arrows = {1: "higher is better", -1: "lower is better"}
    head = ["cell"]
    for task, column in study.columns.items():
        about = f"<br>{column.data}, {column.split}<br>{column.unit}, {arrows[column.sign]}" if column else ""
        head.append(task + about)
    lines = [[*head, "mean rank", "speed"], ["---", *["---:"] * (len(head) + 1)]]
    for cell in study.cells:
        scores = [_score(study, task, cell) for task in study.tasks]
        rank = f"{study.mean_rank(cell):.1f}" if cell in study.compared else ""
        speed = study.relative_speed(cell)
        lines.append([cell, *scores, rank, "" if math.isnan(speed) else f"{speed:.2f}"])
    return _markdown(lines)


def _score(study: Study, task: str, cell: str) -> str:
    column = study.columns[task]
    if column is None or cell not in column.scores:
        wanted = (task, SIZE, cell)
        remarks = {row["remark"] for row in study.rows if (row["task"], row["size"], row["cell"]) == wanted}
        return next((remark for remark in sorted(remarks) if remark.startswith("failed")), "not run")
    return _with_spread(column, cell)


def _with_spread(column: Column, cell: str) -> str:
    values = column.scores[cell]
    spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
    return f"{column.mean(cell):.4g}{spread}"


def sentences(study: Study) -> list[str]:
    """Conclusions, computed from the numbers."""
    texts = [_first_choice(study), *map(_winner, study.run), *map(_gates, study.run), *map(_parallel, study.run)]
    return [text for text in [*texts, _speeds(study)] if text]


def _first_choice(study: Study) -> str:
    if len(study.compared) < 3:
        return ""
    best = ", ".join(f"{cell} ({study.mean_rank(cell):.1f})" for cell in study.compared[:3])
    last, tasks = study.compared[-1], counted(len(study.ranked), "task")
    return (
        f"Best mean rank of {len(study.compared)} cells over {tasks}: {best}; "
        f"worst: {last} ({study.mean_rank(last):.1f})."
    )


def _winner(column: Column) -> str:
    best = column.best_first[0]
    text = f"{column.task.capitalize()}: {best} is best ({column.unit} {column.mean(best):.4g})"
    if math.isnan(column.noise):
        return f"{text}; with one seed, the variation over seeds is unknown."
    behind = {cell: column.sign * (column.mean(best) - column.mean(cell)) for cell in column.best_first[1:]}
    alike = [cell for cell, gap in behind.items() if column.is_noise(gap)]
    worse = [cell for cell in behind if cell not in alike]
    summary = (
        "all other cells differ by more" if not alike else "all other cells may be as good" if not worse
        else f"all other cells except {', '.join(worse)} may be as good" if len(worse) < len(alike)
        else f"{', '.join(alike)} may be as good"
    )  # fmt: skip
    return f"{text}. Differences up to {column.noise:.2g} may be due to chance: {summary}."


def _gates(column: Column) -> str:
    """The gains of gated cells over an ungated one at equal size, where gated cells have fewer units."""
    gated = [cell for cell in column.best_first if is_gated(cell)]
    if not gated or PLAIN not in column.scores:
        return ""
    gains = {cell: column.sign * (column.mean(cell) - column.mean(PLAIN)) for cell in gated}
    alike = [cell for cell in gated if gains[cell] == 0 or column.is_noise(gains[cell])]
    groups = {
        f"better by up to {max(gains.values()):.2g}": [cell for cell in gated if gains[cell] > 0 and cell not in alike],
        "may be as good": alike,
        f"worse by up to {-min(gains.values()):.2g}": [cell for cell in gated if gains[cell] < 0 and cell not in alike],
    }
    texts = [f"{about}: {', '.join(cells)}" for about, cells in groups.items() if cells]
    return f"Gated cells compared with {PLAIN} on {column.task} ({column.unit}), best first: {'; '.join(texts)}."


def _parallel(column: Column) -> str:
    linear = [cell for cell in column.scores if is_linear(cell)]
    if not linear or REFERENCE not in column.scores:
        return ""
    gain, best = max((column.sign * (column.mean(cell) - column.mean(REFERENCE)), cell) for cell in linear)
    speeds = [column.speed(cell) / column.speed(REFERENCE) for cell in linear]
    return (
        f"Cells that are linear in the state ({', '.join(linear)}), compared with {REFERENCE} on {column.task} "
        f"({column.unit}): the best, {best}, is {abs(gain):.2g} {'better' if gain > 0 else 'worse'}"
        f"{' (may be due to chance)' if column.is_noise(gain) else ''}; they train on {min(speeds):.2g} to "
        f"{max(speeds):.2g} times as many tokens per second."
    )


def _speeds(study: Study) -> str:
    timed = [cell for cell in study.compared if not math.isnan(study.relative_speed(cell))]
    if len(timed) < 3:
        return ""
    speeds = [study.relative_speed(cell) for cell in timed]
    (slow, slowest), (fast, fastest) = min(zip(speeds, timed, strict=True)), max(zip(speeds, timed, strict=True))
    correlation = statistics.correlation(_ranks(speeds), _ranks([-study.mean_rank(cell) for cell in timed]))
    meaning = (
        "faster cells tend to score better" if correlation > 0.3 else "slower cells tend to score better"
        if correlation < -0.3
        else "speed and quality are hardly related"
    )  # fmt: skip
    return (
        f"At equal size and on one thread, {fastest}, the fastest cell, trains on {fast / slow:.1f} times as many "
        f"tokens per second as {slowest}, the slowest; the rank correlation between speed and quality (mean rank) is "
        f"{correlation:+.2f}: {meaning}."
    )


def _sizes(study: Study) -> str:
    """The effect of size on score and speed, for each task with runs at several sizes."""
    return "\n\n".join(text for task in study.tasks if (text := _sizes_of_task(study, task)))


def _sizes_of_task(study: Study, task: str) -> str:
    columns = {size: column for size in study.sizes if (column := study.column(task, size))}
    sized = [cell for cell in study.cells if sum(cell in column.scores for column in columns.values()) > 1]
    if not sized:
        return ""
    lines = [["cell", *(f"{size} parameters" for size in columns)], ["---", *["---:"] * len(columns)]]
    best = []
    for cell in sized:
        of_cell = {size: column for size, column in columns.items() if cell in column.scores}
        first = next(iter(of_cell.values())).speed(cell)
        cells = {
            size: f"{_with_spread(column, cell)}, {column.speed(cell) / first:.2f}x" for size, column in of_cell.items()
        }
        lines.append([cell, *(cells.get(size, "not run") for size in columns)])
        of_best = max(of_cell, key=lambda size: of_cell[size].sign * of_cell[size].mean(cell))
        best.append(f"{cell} with {of_best}")
    unit = next(iter(columns.values())).unit
    return (
        f"Effect of model size on {task} at equal training time (only `budget.parameters` differs): {unit}, and "
        f"tokens per second relative to the smallest size. Best sizes: {', '.join(best)} parameters.\n\n"
        f"{_markdown(lines)}"
    )


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    return [float(order.index(value)) for value in values]


def _commands(study: Study) -> str:
    shared = {row["task"]: row["command"] for row in study.done if row["size"] == SIZE}
    commands = (re.sub(r" (cell|seed)=\S+", "", command) for command in shared.values())
    lines = "\n".join(f"    {command} cell=... seed=..." for command in commands)
    return f"The settings, the same for every cell:\n\n{lines}"


PICTURES = {
    "study_scores.svg": "The score of each cell on each task; one dot per seed",
    "study_speed.svg": "Score against time per token, with the Pareto front",
}


def pictures(rows: Sequence[Row]) -> dict[str, str]:
    """The figures as SVG, by file name."""
    study = Study(rows)
    if not study.run:
        return {}
    return {"study_scores.svg": _drawn_scores(study), "study_speed.svg": _drawn_speed(study)}


def _drawn_scores(study: Study) -> str:
    """One row per cell, one panel per task, one dot per seed."""
    step, names, width, gap, top = 17, 130, 210, 24, 46
    bottom = top + step * len(study.cells)
    heights = {cell: top + step * (place + 0.5) for place, cell in enumerate(study.cells)}
    parts = [
        f'<text x="{names - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(cell)}</text>' for cell, y in heights.items()
    ]
    for number, column in enumerate(study.run):
        left = names + number * (width + gap)
        values = [value for scores in column.scores.values() for value in scores]
        axis = Axis(min(values), max(values), left, left + width, False)
        parts.append(f'<text class="title" x="{left}" y="16">{escape(column.task)}</text>')
        parts.append(f'<text class="tick" x="{left}" y="32">{escape(column.axis)}</text>')
        for value, text in axis.ticks():
            parts.append(f'<path class="grid" d="M{axis.at(value):.1f} {top}V{bottom}"/>')
            where = f'x="{axis.at(value):.1f}" y="{bottom + 15}"'
            parts.append(f'<text class="tick" {where} text-anchor="middle">{text}</text>')
        for cell, scores in column.scores.items():
            parts += [_circle(axis.at(value), heights[cell], _colour(cell), f"{cell}: {value:.4g}") for value in scores]
    for number, (text, colour) in enumerate(KEY.items()):
        x, y = names + 150 * number, bottom + 33
        parts.append(f'{_circle(x, y, colour, text)}<text x="{x + 8}" y="{y + 4}">{text}</text>')
    # at least as wide as the key
    return document(names + max(len(study.run), 2) * (width + gap), bottom + 44, "".join(parts))


KEY = {"gated and other cells": BLUE, "linear in the state": ORANGE, PLAIN: GREY}


def _colour(cell: str) -> str:
    return ORANGE if is_linear(cell) else GREY if cell == PLAIN else BLUE


def _circle(x: float, y: float, colour: str, about: str) -> str:
    drawn = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" opacity="0.75"/>'
    return f"<g><title>{escape(about)}</title>{drawn}</g>"


def _drawn_speed(study: Study) -> str:
    """One plot per task, side by side."""
    parts = []
    for number, column in enumerate(study.run):
        points = {cell: (1e6 / column.speed(cell), column.mean(cell)) for cell in column.scores}
        front = pareto_front(list(points.values()), column.sign > 0)
        dots = [
            Dot(cell, _colour(cell), x, y, math.nan, math.nan, (x, y) in front or cell in (PLAIN, REFERENCE))
            for cell, (x, y) in points.items()
        ]
        plot = Plot(column.task, "microseconds per token in training", column.axis, [], dots, front, logarithmic=True)
        parts.append(f'<svg x="{number * WIDTH}" width="{WIDTH}" height="{HEIGHT}">{plot.svg()}</svg>')
    return document(len(parts) * WIDTH, HEIGHT, "".join(parts))
