"""Finished runs, read from configuration, metrics and curves; unreadable ones are reported and skipped."""

from __future__ import annotations

import glob
import heapq
import math
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqzoo.configuration.pretrained import PREFIX, list_pretrained, run_folder
from seqzoo.configuration.stored import stored
from seqzoo.contracts.errors import CheckpointError, ConfigError, SeqzooError, printable, program
from seqzoo.contracts.options import Options
from seqzoo.runs.provenance import group_name
from seqzoo.training.record.files import (
    CONFIG,
    EVENTS,
    LARGEST_EVENTS,
    METRICS,
    Metrics,
    is_baseline,
    is_number,
    read_bytes,
    read_config,
    read_curves,
    read_json,
)
from seqzoo.training.record.older import named_losses

SPLITS = ("test", "validation")
MOST_SCORES = 100
"""Maximum number of scores on a split; each becomes a column of a table."""
VALIDATION = {"valid", "val", "validation", "eval", "evaluation", "dev"}


@dataclass
class RunRecord:
    """A run as far as comparisons need it.

    Args:
        folder: the run directory.
        group: the same for runs that differ only in their seed or fold.
        seed: the seed; None: unknown.
        config: the configuration; empty for runs of other programs.
        metrics: content of metrics.json; for runs of other programs, the last point of each curve.
        curves: points with "step", "seconds", perhaps "tokens", and measurements such as "valid/accuracy".
    """

    folder: Path
    group: str
    seed: int | None
    config: Options = field(default_factory=dict)
    metrics: Metrics = field(default_factory=dict)
    curves: list[dict[str, float]] = field(default_factory=list)

    @property
    def choices(self) -> dict[str, str]:
        """The names that were chosen, such as {"cell": "lstm"}."""
        return self.config.get("choices", {})

    @property
    def fold(self) -> int | None:
        """The number of the fold that was tested; None without cross-validation."""
        data = self.config.get("data", {})
        return data.get("fold") if data.get("folds") is not None else None

    def errors(self, split: str) -> tuple[int, int] | None:
        """The number of wrong labels of a split and of all its labels; None for answers that are not classes."""
        report = self.metrics.get("report")
        of_split = report.get(split) if isinstance(report, dict) else None
        counts = of_split.get("confusion") if isinstance(of_split, dict) else None
        if not isinstance(counts, list) or not all(isinstance(row, list) and len(row) == len(counts) for row in counts):
            return None
        numbers = [number for row in counts for number in row]
        if not all(isinstance(number, int) and 0 <= number <= 2**53 for number in numbers):
            return None
        return sum(numbers) - sum(row[i] for i, row in enumerate(counts)), sum(numbers)

    def scores(self, split: str) -> dict[str, float]:
        """The metrics of a split, NaN where one is not finite; the first one selects checkpoints."""
        scores = self.metrics.get(split)
        numbers = scores.items() if isinstance(scores, dict) else ()
        stored = {printable(name): math.nan if value is None else value for name, value in numbers}
        return {name: float(value) for name, value in stored.items() if is_number(value)}

    @property
    def baseline(self) -> dict[str, Any] | None:
        """The baseline beside the run, with the scores of each split; None without one, or if it is damaged."""
        stored = self.metrics.get("baseline")
        return stored if is_baseline(stored) else None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the content of the data files by option; runs of older versions have none."""
        data_files = self.config.get("data_files")
        records = [file for file in data_files if isinstance(file, dict)] if isinstance(data_files, list) else []
        return {str(record.get("name")): str(record.get("fingerprint")) for record in records}

    def number(self, name: str) -> float:
        """A number of metrics.json; NaN if it has none of this name."""
        value = self.metrics.get(name)
        return float(value) if is_number(value) else float("nan")


def read_runs(patterns: Iterable[str]) -> tuple[list[RunRecord], list[str]]:
    """Find and read finished runs.

    Args:
        patterns: folders, wildcards for folders, or `pretrained:NAME`, also with a wildcard.

    Returns:
        The newest run of each seed and fold, and a message for each run that is left out.

    Raises:
        SeqzooError: a pattern matches nothing, or there is no finished run.
    """
    runs, problems = [], []
    folders = sorted({folder for pattern in patterns for folder in _expand(pattern)})
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except CheckpointError as error:
            problems.append(printable(str(error)))
    if not runs:
        reasons = "".join(f"\n  {problem}" for problem in problems)
        raise SeqzooError(f"there is no finished run in {', '.join(patterns)}{reasons}")
    return _newest_of_each_seed(runs, problems), problems


def _expand(pattern: str) -> Iterator[Path]:
    """The run directories in the folders that a pattern matches."""
    if pattern.startswith(PREFIX):
        names = [pattern.removeprefix(PREFIX)]
        yield from (run_folder(PREFIX + name) for name in list_pretrained(names[0]) or names)
        return
    # Path.glob rejects absolute patterns
    matches = glob.glob(pattern) if glob.has_magic(pattern) and not Path(pattern).exists() else [pattern]  # noqa: PTH207
    matches = [match for match in matches if Path(match).is_dir()]
    if not matches:
        raise SeqzooError(
            f"there is no folder {pattern}: name run directories, or folders that contain run directories"
        )
    for match in matches:
        for folder, inside, files in os.walk(match):
            if CONFIG in files or METRICS in files or any(name.startswith(EVENTS) for name in files):
                inside.clear()
                yield Path(folder)


def read_run(folder: Path) -> RunRecord:
    """Read a run of seqzoo, or any TensorBoard run. Raises CheckpointError if it is damaged or not finished."""
    if not any(os.path.lexists(folder / name) for name in (CONFIG, METRICS)):
        return _foreign_run(folder)
    config = read_config(folder)
    if not os.path.lexists(folder / METRICS):
        updates = max((point["step"] for point in read_curves(folder)), default=0)
        resume = f"{program('seqzoo')} train resume={shlex.quote(str(folder))}"
        raise CheckpointError(f"{folder} is not finished (update {updates:,}); to continue it: {resume}")
    metrics = named_losses(read_json(folder / METRICS), config["task"])
    _check_count(folder / METRICS, *(metrics.get(split) for split in SPLITS))
    if not any(isinstance(metrics.get(split), dict) for split in SPLITS):
        raise CheckpointError(f"{folder / METRICS} has no scores of {' or '.join(SPLITS)}")
    try:
        group = group_name(stored(config))
    except ConfigError as error:
        raise CheckpointError(
            f"{folder / CONFIG} is not a configuration of seqzoo: {'; '.join(error.mistakes)}"
        ) from error
    return RunRecord(folder, group, config["seed"], config, metrics, read_curves(folder) or read_events(folder))


def _check_count(path: Path, *scores: Any) -> None:
    """Raise CheckpointError if a split has too many scores."""
    count = max(len(split) if isinstance(split, dict) else 0 for split in scores)
    if count > MOST_SCORES:
        raise CheckpointError(f"{path} has {count:,} scores of one split, more than {MOST_SCORES}")


def _foreign_run(folder: Path) -> RunRecord:
    """A TensorBoard run of another program; a number at the end of the folder's name is the seed."""
    points = [{_own_tag(tag): value for tag, value in point.items()} for point in read_events(folder)]
    last: dict[str, float] = {}
    for point in points:
        last |= point
    scores = {tag.removeprefix("valid/"): value for tag, value in last.items() if tag.startswith("valid/")}
    _check_count(folder, scores)
    if not scores:
        raise CheckpointError(f"{folder} has event files, but no scalar of validation, such as valid/accuracy, in them")
    match = re.fullmatch(r"(.+?)(?:[-_,. ]*(?:seed)?[-_=]?(\d+))?", folder.name)
    name, seed = (match[1], match[2]) if match else (folder.name, None)
    metrics = {"validation": scores, "seconds": last.get("seconds")}
    return RunRecord(folder, name, None if seed is None else int(seed), {}, metrics, points)


def _own_tag(tag: str) -> str:
    """A tag in the form of seqzoo: val_loss and Accuracy/validation become valid/loss and valid/accuracy."""
    parts = re.split(r"[/_. -]+", tag.lower())
    rest = [part for part in parts if part not in VALIDATION]
    return f"valid/{'_'.join(rest)}" if 0 < len(rest) < len(parts) else tag


def read_events(folder: Path) -> list[dict[str, float]]:
    """The scalars of TensorBoard's event files, in the form of `read_curves`, up to the first damaged event."""
    points: dict[int, dict[str, float]] = {}
    latest: list[int] = []  # a heap of negative steps, so that the last step is on top
    for path in sorted(folder.glob(f"{EVENTS}*")):
        for event in _events(path):
            if event.HasField("session_log") and event.session_log.status == event.session_log.START:
                # a resumed run repeats the steps after its checkpoint
                while latest and -latest[0] >= event.step:
                    del points[-heapq.heappop(latest)]
            for value in event.summary.value:
                number = _scalar(value)
                if number is None or value.tag in ("step", "seconds"):
                    continue
                if event.step not in points:
                    points[event.step] = {"step": event.step, "seconds": event.wall_time}
                    heapq.heappush(latest, -event.step)
                points[event.step][value.tag] = number
    begin = min((point["seconds"] for point in points.values()), default=0.0)
    return [{**point, "seconds": point["seconds"] - begin} for _, point in sorted(points.items())]


def _events(path: Path) -> Iterator[Any]:
    """The events of a file up to the first damaged one; the file of a running program often ends in a partial event.

    A record is a length (8 bytes), a checksum (4), an event and its checksum. Reading it here is twenty times as fast
    as TensorBoard's own reader.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorboard.compat.proto.event_pb2 import Event

    content, start = memoryview(read_bytes(path, LARGEST_EVENTS)), 0
    while start + 12 <= len(content):
        begin, end = start + 12, start + 12 + int.from_bytes(content[start : start + 8], "little")
        if end > len(content):
            return
        try:
            yield Event.FromString(bytes(content[begin:end]))
        except DecodeError:
            return
        start = end + 4


def _scalar(value: Any) -> float | None:
    """The number of a scalar: PyTorch writes a simple value, TensorFlow a tensor of size 1. None for other values."""
    if value.HasField("simple_value"):
        return value.simple_value
    if not value.HasField("tensor") or value.metadata.plugin_data.plugin_name not in ("scalars", ""):
        return None
    # checked before decoding, because a tensor of any declared size may be stored as one number
    if math.prod(size.size for size in value.tensor.tensor_shape.dim) != 1:
        return None
    from tensorboard.util.tensor_util import make_ndarray

    try:
        array = make_ndarray(value.tensor)
    except (TypeError, ValueError):
        return None
    return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None


def _newest_of_each_seed(runs: list[RunRecord], problems: list[str]) -> list[RunRecord]:
    """The newest run of each seed and fold of a configuration on the same data; older ones are reported."""
    newest: dict[tuple[object, ...], RunRecord] = {}
    for run in sorted(runs, key=lambda run: (run.folder / METRICS).stat().st_mtime if run.config else 0.0):
        seed = run.folder if run.seed is None else run.seed
        key = (run.group, seed, run.fold, *sorted(run.fingerprints.items()))
        if key in newest:
            problems.append(
                printable(f"{newest[key].folder} has the configuration and seed of {run.folder}, which is newer")
            )
        newest[key] = run
    return list(newest.values())
