"""Simple baselines on the data of a configuration, to compare a network with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqzoo.commands.command_line import allow_own_modules, help_options
from seqzoo.contracts.errors import ConfigError, program

if TYPE_CHECKING:
    from seqzoo.baselines.fitting import BaselineScores


def baseline(arguments: list[str]) -> None:
    """Fit each simple baseline that suits the data, and print its scores; no network is trained."""
    if "-h" in arguments or "--help" in arguments:
        help_options("baseline", [a for a in arguments if not a.startswith("-")])
        return
    if any(argument.startswith("resume=") for argument in arguments):
        raise ConfigError(["resume= is for train: give the options of the run, task=... data=..."])
    allow_own_modules(arguments)
    from seqzoo.runs.baseline_scores import configured_baselines, ranked

    configured = configured_baselines(*arguments)
    scores = ranked(configured, [*configured.scores()])
    if scores:
        print(as_text(scores))
    elif not configured.missing:
        print(f"there is no baseline for data of the kind {configured.data.spec.kind}")
    for other in configured.missing:
        print(f"{other.name} needs {other.package}: {program('pip')} install 'seqzoo[baselines]'")


def as_text(scores: list[BaselineScores]) -> str:
    """A table with a row for each baseline, the best one first."""
    from seqzoo.training.record.run import format_number

    splits = list(scores[0].scores)
    columns = [
        (split, metric)
        for split in splits
        for metric in dict.fromkeys(metric for score in scores for metric in score.scores[split])
    ]
    rows = [["baseline", *(f"{split} {metric}" for split, metric in columns), "seconds", ""]]
    for score in reversed(scores):
        values = [score.scores[split].get(metric) for split, metric in columns]
        shown = ["-" if value is None else format_number(value) for value in values]
        rows.append([score.name, *shown, f"{score.seconds:.1f}", score.description])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers, about in rows:
        padded = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=False)]
        lines.append("  ".join([name.ljust(widths[0]), *padded, about]).rstrip())
    return "\n".join(lines)
