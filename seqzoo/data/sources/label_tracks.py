"""Labelled segments of recordings, such as the label tracks of Audacity: START END LABEL in seconds, one per line."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.reading import filled_lines

SUFFIXES = (".txt", ".lab")
"""Of the file of segments beside a recording."""


class Segment(NamedTuple):
    """A part of a recording. start, end: in seconds; label: of all steps between them."""

    start: float
    end: float
    label: str


def read_segments(path: str, encoding: str) -> list[Segment]:
    """Read the segments of a recording, in order of time.

    Args:
        path: of a text file with a line START END LABEL for each segment, separated by tabs or spaces.
        encoding: of the file.

    Raises:
        DataError: a line is no segment, or two segments overlap.
    """
    if Path(path).stat().st_size == 0:  # a recording in which nothing was marked
        return []
    segments: list[Segment] = []
    for number, line in filled_lines(path, encoding):
        fields = line.split(None, 2)
        try:
            start, end = float(fields[0]), float(fields[1])
            label = fields[2].strip()
        except (ValueError, IndexError):
            raise DataError(
                f"{path}:{number}: found {line.strip()[:40]!r}, expected START END LABEL, with times in seconds"
            ) from None
        if not (0 <= start <= end and math.isfinite(end)):
            raise DataError(f"{path}:{number}: the segment is from {start:g} to {end:g} seconds: correct the times")
        segments.append(Segment(start, end, label))
    segments.sort()
    for before, after in itertools.pairwise(segments):
        if after.start < before.end:
            raise DataError(
                f"{path}: the segments {before.label!r} and {after.label!r} overlap at {after.start:g} seconds: a step "
                "has one label"
            )
    return segments


def check_inside(segments: Sequence[Segment], seconds: float) -> None:
    """Check that segments are parts of a recording. Raises DataError for one that begins after its end, or ends more
    than a second later.
    """
    for segment in segments:
        if segment.start >= seconds or segment.end > seconds + 1:
            raise DataError(
                f"the segment {segment.label!r} is from {segment.start:g} to {segment.end:g} seconds, and the "
                f"recording lasts {seconds:.2f}: times must be in seconds"
            )


def labels_of_steps(segments: Sequence[Segment], steps: int, duration: float, silence: str) -> list[str]:
    """The label at the middle of each step.

    Args:
        segments: in order of time.
        steps: their number.
        duration: of a step in seconds.
        silence: the label of steps that are in no segment.
    """
    starts = [segment.start for segment in segments]
    labels = []
    for step in range(steps):
        middle = (step + 0.5) * duration
        place = bisect.bisect_right(starts, middle) - 1
        inside = place >= 0 and middle < segments[place].end
        labels.append(segments[place].label if inside else silence)
    return labels
