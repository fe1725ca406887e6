"""Series from `.ts` files of the UEA and UCR archive.

Bagnall et al., The UEA Multivariate Time Series Classification Archive, 2018, https://arxiv.org/abs/1811.00075
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy
import torch

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.finite import finite_number
from seqzoo.data.sources.reading import read_lines
from seqzoo.data.sources.series_content import Numbers, Series, SeriesFile, check_rising, parse_time


def read_ts(path: str, encoding: str, numbers: Numbers, labelled: bool) -> SeriesFile:
    lines = read_lines(path, encoding)
    header: dict[str, list[str]] = {}
    for begin, line in enumerate(lines, start=1):
        words = line.split()
        if words and words[0].startswith("@"):
            header[words[0].lower()] = words[1:]
            if words[0].lower() == "@data":
                break
        elif words and not words[0].startswith("#"):
            raise DataError(
                f"{path}:{begin}: found {line.strip()[:40]!r} before a line @data: a .ts file begins with a header, "
                "whose last line is @data"
            )
    else:
        raise DataError(f"{path} has no line @data: a .ts file begins with a header, whose last line is @data")
    numeric = _is_true(header, "@targetlabel")
    has_labels = numeric or _is_true(header, "@classlabel")
    if labelled and not has_labels:
        raise DataError(f"{path} declares no labels: its header needs a line such as @classLabel true rest run")
    classes = header["@classlabel"][1:] if has_labels and not numeric else []
    dated = _is_true(header, "@timestamps")
    if _is_true(header, "@missing"):  # the archive writes missing values as NaN, or as a question mark
        numbers = Numbers(nan_is_missing=True)
    declared = header.get("@dimensions", header.get("@dimension", [""]))[:1]
    channels = int(declared[0]) if declared and declared[0].isdigit() else None
    series: list[Series] = []
    for number, line in enumerate(lines[begin:], start=begin + 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        fields = line.strip().split(":") if not dated else _split_timed(line.strip())
        label = fields.pop().strip() if has_labels else None
        channels = channels or len(fields)
        if len(fields) != channels:
            raise DataError(
                f"{where}: the row has {counted(len(fields), 'channel')}, expected {channels}: separate channels by "
                f"colons{', and write the label after the last one' if has_labels else ''}"
            )
        if label is not None:
            _check_label(label, classes, numeric, where)
        series.append(_ts_row(fields, label, dated, numbers, where))
    if not series:
        raise DataError(f"{path} has no series after @data: give a file with some")
    names = [f"channel {i}" for i in range(1, (channels or 1) + 1)]
    return SeriesFile(series, names, classes, numeric, f".ts file of {counted(len(series), 'series', 'series')}")


def _ts_row(fields: list[str], label: str | None, dated: bool, numbers: Numbers, where: str) -> Series:
    rows, times = [], None
    for channel, field in enumerate(fields, start=1):
        values = field.split(",")

        def named(i: int, channel: int = channel) -> str:
            return f"{where}: channel {channel}, value {i + 1}"

        if dated:
            pairs = [pair.rpartition(",") for pair in re.findall(r"\(([^)]*)\)", field)]
            values = [value for _, _, value in pairs]
            own_times = [
                parse_time(time, f"{where}: channel {channel}, time {i}") for i, (time, _, _) in enumerate(pairs, 1)
            ]
            if times is not None and own_times != times:
                raise DataError(f"{where}: channel {channel} has other times than channel 1: give all the same times")
            times = own_times
        rows.append(numbers.array(values, named))
        if len(rows[-1]) != len(rows[0]):
            raise DataError(
                f"{where}: channel {channel} has {counted(len(rows[-1]), 'value')}, channel 1 has {len(rows[0])}: all "
                "channels of a series need the same length; write a missing value as ?"
            )
    if times is not None:
        check_rising(times, times, [f"{where}: time {i}" for i in range(1, len(times) + 1)])
    return Series(
        torch.from_numpy(numpy.stack(rows, 1)),
        label,
        None if times is None else torch.tensor(times, dtype=torch.float64),
        where,
    )


def _split_timed(line: str) -> list[str]:
    """Split a row of (time,value) pairs at the colons between channels; times may contain colons."""
    return re.split(r":(?![^(]*\))", line)


def _is_true(header: Mapping[str, list[str]], name: str) -> bool:
    return [word.lower() for word in header.get(name, [])[:1]] == ["true"]


def _check_label(label: str, classes: list[str], numeric: bool, where: str) -> None:
    if numeric:
        try:
            finite_number(label)
        except ValueError:
            raise DataError(f"{where}: the target is {label[:40]!r}, not a finite number: correct it") from None
    elif classes and label not in classes:
        raise DataError(
            f"{where}: the class {label[:40]!r} is not among those that @classLabel declares{closest(label, classes)}"
        )
