"""Comparison of runs: a row for each configuration, over its seeds; a table for each data set. `comparison_tables`
writes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

import numpy

from seqzoo.analysis.finished_runs import SPLITS, RunRecord
from seqzoo.analysis.statistics import LEVEL, Summary, seeds_needed, sign_flip_p, summarize
from seqzoo.contracts.errors import ConfigError, printable
from seqzoo.contracts.options import Options

ALPHA = 1 - LEVEL
# choices that labels of configurations consist of, in this order
CHOICES = ("cell", "backbone", "encoder", "learning", "training", "experiment")
# options of data that say how examples are read, not which ones they are
READING = {
    "class", "seed", "fold", "root", "source", "encoding", "batch_size", "evaluation_batch_size", "max_tokens",
    "bucket_by", "max_length", "truncate", "window", "random_windows", "document_separator", "on_disk", "tokenizer",
    "source_tokenizer", "target_tokenizer", "shared_subwords", "min_frequency", "vocabulary_size", "characters",
    "word_places", "vectors", "vectors_words", "word_dropout", "blanks", "flip", "crop",
}  # fmt: skip
SECTIONS = ("cell", "backbone", "encoder", "task", "data", "learning", "training", "budget")
COSTS = {
    "parameters": "parameters",
    "flops_per_token": "FLOPs/token",
    "state_bytes": "state bytes",
    "training_bytes": "training bytes",
    "tokens_per_second": "tokens/s",
    "seconds": "seconds",
    "cpu_seconds": "CPU seconds",
}


@dataclass
class Row:
    """The runs of one configuration, one per seed and fold.

    Args:
        label: name of the configuration.
        runs: its runs.
        scores: summaries by metric.
        costs: means over the runs, by the names of COSTS.
        errors: number of wrong labels of all folds, as the mean over the seeds, and of all labels; None where answers
            are not classes.
        reached: for each run the seconds of training until its validation score reached the table's `good_enough`, NaN
            if it never did.
    """

    label: str
    runs: list[RunRecord]
    scores: dict[str, Summary] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    errors: tuple[float, float] | None = None
    reached: list[float] = field(default_factory=list)

    @property
    def seeds(self) -> int:
        """Number of different seeds."""
        return len({run.folder if run.seed is None else run.seed for run in self.runs})

    @property
    def folds(self) -> str:
        """The number of folds that were tested, and of how many; "-" without cross-validation."""
        tested = len({run.fold for run in self.runs} - {None})
        number = self.runs[0].config.get("data", {}).get("folds")
        return f"{tested} of {number}" if isinstance(number, int) and tested < number else str(tested or "-")

    @property
    def seconds_to_score(self) -> float:
        """The mean over the seeds that reached the score."""
        finite = [seconds for seconds in self.reached if not math.isnan(seconds)]
        return sum(finite) / len(finite) if finite else math.nan


class Difference(NamedTuple):
    """The difference of two rows, paired by seed and fold.

    Attributes:
        summary: of the differences.
        p: p-value of the sign-flip test.
        always: whether all differences have the same sign.
    """

    summary: Summary
    p: float
    always: bool

    @property
    def verdict(self) -> str:
        """The conclusion about the row that is better on average: "better" if the difference is significant, "ahead" if
        it is consistent over too few seeds to be significant, else "alike".
        """
        if self.p <= ALPHA:
            return "better"
        return "ahead" if self.always and 1 < self.summary.size < seeds_needed() else "alike"


class BaselineRow(NamedTuple):
    """A baseline that was scored beside runs of a table.

    Attributes:
        label: its name.
        scores: by metric, on the split of the table.
        seconds: for fitting and answering.
    """

    label: str
    scores: dict[str, float]
    seconds: float


@dataclass
class Table:
    """The configurations that were scored on the same data, best first.

    Args:
        title: task and data set, with the options that distinguish it from others of its name.
        split: the split of the scores.
        metric: the metric that selects checkpoints.
        higher_is_better: whether high values of the metric are good.
        good_enough: the validation score for which the training time until it was reached is reported.
        rows: the configurations.
        unscored: configurations without this metric, such as runs of other programs.
        baselines: the baselines that the runs have beside them.
    """

    title: str
    split: str
    metric: str
    higher_is_better: bool
    good_enough: float
    rows: list[Row]
    unscored: list[str] = field(default_factory=list)
    baselines: list[BaselineRow] = field(default_factory=list)

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics."""
        return list(self.rows[0].scores)

    @property
    def folded(self) -> bool:
        """Whether there are folds of a cross-validation."""
        return any(run.fold is not None for row in self.rows for run in row.runs)

    @property
    def unit(self) -> str:
        """What the rows are paired by, in words."""
        return "fold" if self.folded else "seed"

    def worded(self, text: str) -> str:
        """A text about costs, with "token" replaced where the inputs of all runs are series, sound or pictures."""
        units = {run.metrics.get("unit") for row in self.rows for run in row.runs}
        return text.replace("token", "input step").replace("Token", "Input step") if units == {"step"} else text

    @property
    def times_scores(self) -> bool:
        """Whether the time until `good_enough` is meaningful; a score of 0 is not, where higher is better."""
        return not math.isnan(self.good_enough) and not (self.higher_is_better and self.good_enough == 0)

    @property
    def differing_files(self) -> list[str]:
        """The options that name data files whose content differs between runs."""
        runs = [run for row in self.rows for run in row.runs]
        names = {name: None for run in runs for name in run.fingerprints}
        return [name for name in names if len({run.fingerprints[name] for run in runs if name in run.fingerprints}) > 1]

    def difference(self, row: Row, baseline: Row) -> Difference:
        """The difference of two rows over the seeds and folds that both have, positive where `row` is better."""
        sign = 1 if self.higher_is_better else -1
        scores, others = (
            {(run.seed, run.fold): run.scores(self.split)[self.metric] for run in r.runs if run.seed is not None}
            for r in (row, baseline)
        )
        values = [sign * (scores[pair] - others[pair]) for pair in scores if pair in others]
        signs = {numpy.sign(value) for value in values}
        return Difference(summarize(values), sign_flip_p(values), signs in ({1}, {-1}))


def compare(runs: Sequence[RunRecord], split: str | None = None, score: float | None = None) -> list[Table]:
    """Compare runs in a table for each task and data set.

    Args:
        runs: the runs.
        split: "test" or "validation"; None: the first of them that all runs of a table have.
        score: the validation score for which the training time is reported; None: the median over seeds of the best
            validation score, of the worst configuration.

    Raises:
        ConfigError: no run has scores on this split.
    """
    titles = _titles(runs)
    tables = []
    for title in sorted(set(titles) - {""}) or [""]:
        # runs of other programs do not name their data; they are added if there is only one data set
        members = [
            run
            for run, named in zip(runs, titles, strict=True)
            if named == title or (not named and len({*titles, ""}) <= 2)
        ]
        tables += _table(title or "runs", members, split, score)
    if not tables:
        other = " or ".join(name for name in SPLITS if name != split)
        raise ConfigError([f"no run has scores of the {split or 'same'} split: compare by --split {other}"])
    return tables


def _titles(runs: Sequence[RunRecord]) -> list[str]:
    """The title of the table of each run: its task and data set and, where data sets share a name, the options that
    distinguish them.
    """
    by_name: dict[str, dict[str, dict[str, str]]] = {}
    for run in runs:
        by_name.setdefault(_title(run), {})[repr(_data_set(run))] = _data_set(run)
    titles = []
    for run in runs:
        title, mine = _title(run), _data_set(run)
        others = [*by_name[title].values()]
        differing = [name for name in mine if len({other.get(name) for other in others}) > 1]
        titles.append(printable(", ".join([title, *(f"{name}={mine[name]}" for name in differing)])))
    return titles


def _data_set(run: RunRecord) -> dict[str, str]:
    """The options that say which examples a run read, and the fingerprints of their files."""
    data = {"split": "random", **run.config.get("data", {})}  # as in runs of versions without this option
    options = {name: value for name, value in data.items() if name not in READING and value is not None}
    fingerprints = run.fingerprints
    return {
        name: f"{value} ({fingerprints[value][:8]})" if str(value) in fingerprints else str(value)
        for name, value in sorted(options.items())
    }


def _title(run: RunRecord) -> str:
    """Task and data set of a run; empty if unknown."""
    return printable(f"{run.choices['task']}, {run.choices['data']}") if {"task", "data"} <= run.choices.keys() else ""


def _table(title: str, runs: list[RunRecord], split: str | None, score: float | None) -> list[Table]:
    if split is None:
        split = next((name for name in SPLITS if all(run.scores(name) for run in runs)), SPLITS[-1])
    runs = [run for run in runs if run.scores(split)]
    if not runs:
        return []
    first = next((run for run in runs if run.config), runs[0])
    metric = next(iter(first.scores(split)))
    higher = _higher_is_better(metric, runs)
    grouped: dict[str, list[RunRecord]] = {}
    for run in runs:
        grouped.setdefault(run.group, []).append(run)
    groups = [sorted(group, key=lambda run: (run.seed or 0, run.fold or 0)) for group in grouped.values()]
    rows = [Row(label, group) for label, group in zip(labels(groups), groups, strict=True)]
    good_enough = score if score is not None else _reached_by_all(rows, metric, higher)
    for row in rows:
        shared = [name for name in first.scores(split) if all(name in run.scores(split) for run in row.runs)]
        row.scores = {name: summarize([run.scores(split)[name] for run in row.runs]) for name in shared}
        row.costs = {name: sum(run.number(name) for run in row.runs) / len(row.runs) for name in COSTS}
        row.errors = _pooled_errors(row, split)
        row.reached = [_seconds_until(run, metric, good_enough, higher) for run in row.runs]
    unscored = [row.label for row in rows if metric not in row.scores]
    rows = [row for row in rows if metric in row.scores]
    sign = 1 if higher else -1
    rows.sort(key=lambda row: (math.isnan(row.scores[metric].mean), -sign * row.scores[metric].mean))
    return [Table(title, split, metric, higher, good_enough, rows, unscored, _baselines(runs, split))]


def _pooled_errors(row: Row, split: str) -> tuple[float, float] | None:
    counts = [errors for run in row.runs if (errors := run.errors(split)) is not None]
    if len(counts) < len(row.runs):
        return None
    wrong, labels = (sum(column) / row.seeds for column in zip(*counts, strict=True))
    return wrong, labels


def _baselines(runs: Iterable[RunRecord], split: str) -> list[BaselineRow]:
    """The different baselines of runs; those that read the same data share one. Those of folds are averaged."""
    rows: dict[tuple[str, str], BaselineRow] = {}
    by_fold: dict[int, BaselineRow] = {}
    for run in runs:
        best = run.baseline
        scores = best["scores"].get(split) if best is not None else None
        if best is not None and scores:
            row = BaselineRow(printable(f"baseline: {best['name']}"), scores, float(best["seconds"]))
            if run.fold is None:
                rows.setdefault((row.label, repr(scores)), row)
            else:
                by_fold.setdefault(run.fold, row)
    return [*rows.values(), *_averaged([*by_fold.values()])]


def _averaged(folds: Sequence[BaselineRow]) -> list[BaselineRow]:
    """The mean of the best baselines of folds."""
    if not folds:
        return []
    names = {row.label for row in folds}
    shared = [name for name in folds[0].scores if all(name in row.scores for row in folds)]
    scores = {name: fmean(row.scores[name] for row in folds) for name in shared}
    label = names.pop() if len(names) == 1 else "baseline: the best of each fold"
    return [BaselineRow(label, scores, fmean(row.seconds for row in folds))]


def _higher_is_better(metric: str, runs: Iterable[RunRecord]) -> bool:
    for run in runs:
        directions = run.metrics.get("higher_is_better")
        if isinstance(directions, dict) and metric in directions:
            return bool(directions[metric])
    # runs of older versions and of other programs do not store it
    return not any(part in metric.lower() for part in ("loss", "perplexity", "bits", "error", "mse", "mae", "rate"))


def labels(groups: Sequence[Sequence[RunRecord]]) -> list[str]:
    """Short names that distinguish configurations: the cell, other choices that differ, then options that differ."""
    first = [group[0] for group in groups]
    differing = [
        name for name in CHOICES if name == "cell" or len({run.choices.get(name) for run in first if run.choices}) > 1
    ]
    chosen = [" ".join(filter(None, (run.choices.get(name) for name in differing))) or run.group for run in first]
    names = []
    for run, name in zip(first, chosen, strict=True):
        # "class" is compared, too: the YAML of a name may have been changed to a user-defined class
        alike = [
            options(other, ("seed", "fold")) for other, others in zip(first, chosen, strict=True) if others == name
        ]
        values = options(run, ("seed", "fold"))
        keys = [key for key in values if len({repr(other.get(key)) for other in alike}) > 1]
        names.append(
            printable(" ".join([name, *(f"{key.rpartition('.')[2]}={_as_written(values[key])}" for key in keys)]))
        )
    return names


def _as_written(value: Any) -> str:
    """A value as it is written on the command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def options(run: RunRecord, left_out: tuple[str, ...] = ("class", "seed", "fold")) -> Options:
    """The options of a run as one dictionary with dotted keys, without those of some names."""
    flat: dict[str, Any] = {}

    def add(prefix: str, node: Options) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            elif key not in left_out:
                flat[prefix + key] = value

    for section in SECTIONS:
        add(f"{section}.", run.config.get(section, {}))
    if run.config.get("init") is not None:
        flat["init"] = run.config["init"]
    return flat


def _best(run: RunRecord, metric: str, higher: bool) -> float:
    """The best validation score of a run; NaN if there is none."""
    values = [point[f"valid/{_tag(metric)}"] for point in run.curves if f"valid/{_tag(metric)}" in point]
    return (max if higher else min)(values, default=math.nan)


def _tag(metric: str) -> str:
    return "loss" if metric == "loss_nats" else metric


def _reached_by_all(rows: Sequence[Row], metric: str, higher: bool) -> float:
    """The validation score that the worst configuration reaches, as the median over its seeds."""
    medians = []
    for row in rows:
        best = sorted(value for run in row.runs if not math.isnan(value := _best(run, metric, higher)))
        if best:
            medians.append(best[(len(best) - 1) // 2] if higher else best[len(best) // 2])
    return (min if higher else max)(medians, default=math.nan)


def _seconds_until(run: RunRecord, metric: str, good_enough: float, higher: bool) -> float:
    for point in run.curves:
        value = point.get(f"valid/{_tag(metric)}", math.nan)
        if (value >= good_enough) if higher else (value <= good_enough):
            return point.get("seconds", math.nan)
    return math.nan
