"""Tables of compared runs as text, Markdown and CSV, with conclusions in sentences."""

from __future__ import annotations

import csv
import html
import io
import itertools
import math
import re
from collections.abc import Sequence

from seqzoo.analysis.comparison import ALPHA, COSTS, Row, Table
from seqzoo.analysis.statistics import LEVEL, Summary, seeds_needed
from seqzoo.contracts.errors import printable

FEW = 4
"""Maximum number of rows for a sentence about every pair."""


def sentence(table: Table, better: Row, other: Row) -> str:
    """Compare two rows in one sentence."""
    difference = table.difference(better, other)
    # rows are ordered by all of their seeds, but the difference is over common seeds and may have the other sign
    if difference.summary.mean < 0:
        better, other, difference = other, better, table.difference(other, better)
    summary, count = difference.summary, difference.summary.size
    names = f"{better.label} and {other.label}"
    gap = f"{table.metric} {shown(summary.mean)} on average ({shown(summary.low)} to {shown(summary.high)})"
    if count == 0:
        return f"{names} have no {table.unit} in common."
    if count == 1:
        return f"{names} cannot be told apart at 1 {table.unit}."
    if difference.verdict == "better":
        return f"{better.label} is better than {other.label} at {count} {table.unit}s: {gap}, p = {difference.p:.2g}."
    if difference.verdict == "ahead":
        number = f"{count} {table.unit}s, too few to rule out chance"
        return f"{better.label} is ahead of {other.label} at each of {number}: {gap}."
    return f"{names} cannot be told apart at {count} {table.unit}s: {gap}, p = {difference.p:.2g}."


def sentences(table: Table) -> list[str]:
    """Conclusions from a table: whether its runs read the same data, and which are better."""
    return [*_about_data(table), *_verdicts(table), *_unbeaten(table)]


def _unbeaten(table: Table) -> list[str]:
    """The baselines that no configuration beats on average."""
    sign = 1 if table.higher_is_better else -1
    best = max((sign * row.scores[table.metric].mean for row in table.rows), default=math.nan)
    return [
        f"No configuration is better than the {row.label}: {table.metric} {shown(row.scores[table.metric])}."
        for row in table.baselines
        if table.metric in row.scores and not best > sign * row.scores[table.metric]
    ]


def _about_data(table: Table) -> list[str]:
    names = ", ".join(map(printable, table.differing_files))
    return [f"The runs did not read the same data: the content of {names} differs between them."] if names else []


def _pairs(table: Table) -> list[tuple[Row, Row]]:
    """The rows that are compared: all pairs of a few rows, or the best of many with each other one."""
    if len(table.rows) <= FEW:
        return [*itertools.combinations(table.rows, 2)]
    return [(table.rows[0], row) for row in table.rows[1:]]


def _verdicts(table: Table) -> list[str]:
    if len(table.rows) <= FEW:
        return [sentence(table, *pair) for pair in _pairs(table)]
    best = table.rows[0]
    verdicts: dict[str, list[str]] = {"alike": [], "ahead": [], "better": []}
    for _, row in _pairs(table):
        difference = table.difference(best, row)
        # over common seeds, the other row may be better
        verdicts[difference.verdict if difference.summary.mean > 0 else "alike"].append(row.label)
    beginnings = {
        "alike": f"{best.label} cannot be told apart from",
        "ahead": f"With too few {table.unit}s to rule out chance, {best.label} is ahead at each of them of",
        "better": f"{best.label} is better than",
    }
    return [f"{beginnings[verdict]} {', '.join(names)}." for verdict, names in verdicts.items() if names]


def explanation(table: Table) -> str:
    """How the numbers were computed."""
    tests = sum(table.difference(*pair).summary.size >= seeds_needed() for pair in _pairs(table))
    by_chance = (
        f" If no pair differed, about {ALPHA * tests:.2g} of the {tests} comparisons with enough seeds would have "
        f"p < {ALPHA:.2g} by chance."
        if tests > 1
        else ""
    )
    unscored = f" Left out because they lack {table.metric}: {', '.join(table.unscored)}." if table.unscored else ""
    over, paired, folds = "seeds", "seed", ""
    if table.folded:
        over, paired = "seeds and folds", "seed and fold"
        folds = (
            " Errors are those of all folds together, as the mean over seeds. Folds share training examples, so that p "
            "is too small."
        )
    reached = ""
    if table.times_scores:
        reached = f"; the last column is the time until {table.metric} on validation first reached that value"
    return (
        f"Scores on {table.split}: mean and standard deviation over {over}, in brackets the {LEVEL:.0%} bootstrap "
        f"interval of the mean. Differences are paired by {paired}; p is of the exact sign-flip test, which needs "
        f"{seeds_needed()} {table.unit}s to fall below {ALPHA:.2g}. Intervals of few {table.unit}s are too narrow, "
        f"so that p decides.{folds}{by_chance}{unscored} Seconds are wall-clock time of training, validation "
        f"included{reached}. {table.worded('Tokens/s')} only count updates, on a CPU per CPU second."
    )


def header(table: Table) -> list[str]:
    """The headings of the columns."""
    reached = [f"seconds to reach {shown(table.good_enough)}"] if table.times_scores else []
    folds = ["folds", "errors"] if table.folded else []
    return ["architecture", "seeds", *folds, *table.metrics, *map(table.worded, COSTS.values()), *reached]


def grid(table: Table) -> list[list[str]]:
    """The rows of the table, as text: configurations, best first, and then baselines."""
    lines = [cells(table, row) for row in table.rows]
    for row in table.baselines:
        scores = [shown(row.scores.get(name, math.nan)) for name in table.metrics]
        costs = [_amount(row.seconds) if name == "seconds" else "-" for name in COSTS]
        lines.append(
            [row.label, "-", *["-", "-"] * table.folded, *scores, *costs, *(["-"] if table.times_scores else [])]
        )
    return lines


def cells(table: Table, row: Row) -> list[str]:
    """A row of the table, as text."""
    scores = [shown_summary(row.scores.get(name), name == table.metric) for name in table.metrics]
    costs = [_amount(row.costs[name]) for name in COSTS]
    missed = sum(map(math.isnan, row.reached))
    reached = _amount(row.seconds_to_score) + (
        f" ({len(row.reached) - missed} of {len(row.reached)})" if missed else ""
    )
    folds = [row.folds, _errors(row)] if table.folded else []
    return [row.label, str(row.seeds), *folds, *scores, *costs, *([reached] if table.times_scores else [])]


def _errors(row: Row) -> str:
    return "-" if row.errors is None else f"{row.errors[0]:,.4g} of {row.errors[1]:,.0f}"


def as_text(tables: Sequence[Table], problems: Sequence[str]) -> str:
    """Tables and conclusions as plain text, for a terminal."""
    parts = []
    for table in tables:
        lines = [header(table), *grid(table)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        drawn = [
            "  ".join(
                [
                    line[0].ljust(widths[0]),
                    *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)),
                ]
            )
            for line in lines
        ]
        parts.append("\n".join([table.title, *(f"  {line}".rstrip() for line in drawn)]))
        parts.append("\n".join([*sentences(table), explanation(table)]))
    if problems:
        parts.append("\n".join(["left out:", *(f"  {problem}" for problem in problems)]))
    return "\n\n".join(parts)


def as_markdown(tables: Sequence[Table]) -> str:
    """Tables and conclusions as Markdown."""
    parts = []
    for table in tables:
        lines = [header(table), ["---", *["---:"] * (len(header(table)) - 1)], *grid(table)]
        drawn = "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)
        conclusions = "\n".join(f"- {_markdown(text)}" for text in sentences(table))
        parts += [f"## {_markdown(table.title)}", drawn, conclusions, _markdown(explanation(table))]
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    """Escape tags, links, code and cell borders."""
    return re.sub(r"[\\`|]|(?<=\])[(\[:]", r"\\\g<0>", html.escape(text, quote=False))


def _spreadsheet(text: str) -> str:
    """Escape text that a spreadsheet would read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def as_csv(tables: Sequence[Table]) -> str:
    """Tables as CSV: a line for each configuration and metric, in full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ("data", "architecture", "split", "metric", "mean", "sd", "low", "high", "seeds", "folds", "errors")
    writer.writerow([*names, *COSTS, "score", "seconds_to_score"])
    for table in tables:
        for row in table.rows:
            for metric, summary in row.scores.items():
                costs = [row.costs[name] for name in COSTS]
                writer.writerow(
                    [
                        *map(_spreadsheet, (table.title, row.label, table.split, metric)),
                        *summary[:4],
                        row.seeds,
                        row.folds,
                        "" if row.errors is None else row.errors[0],
                        *costs,
                        table.good_enough,
                        row.seconds_to_score,
                    ]
                )
    return file.getvalue()


def shown(value: float) -> str:
    """A number with four significant digits, or four decimals below 10."""
    return "-" if math.isnan(value) else f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def shown_summary(summary: Summary | None, interval: bool) -> str:
    """Mean ± standard deviation and, if wanted, the interval of the mean."""
    if summary is None:
        return "-"
    if math.isnan(summary.sd):
        return shown(summary.mean)
    text = f"{shown(summary.mean)} ± {shown(summary.sd)}"
    return f"{text} [{shown(summary.low)}, {shown(summary.high)}]" if interval else text


def _amount(value: float) -> str:
    if math.isnan(value):
        return "-"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= factor:
            return f"{value / (1e3 if letter == 'k' else factor):.3g}{letter}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
