"""The columns of a table of texts: which has the labels and which the texts, by their names and contents.

What an option gives is never detected. What is unclear is an error that names the option.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.tables import Dialect, json_objects

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "sequence", "tweet", "message", "body", "document")
TITLE_NAMES = ("title", "question", "description", "headline", "query", "utterance", "phrase", "name")
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "stars", "rating", "score", "polarity", "intent")
"""Names of columns, the more certain ones first."""

MOST_CLASSES = 1_000
LONGEST_LABEL = 40
"""Largest number of classes, and of characters of a label on average, in a column that is detected by its content."""

LISTED = 4
"""Columns that a message lists."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its index, its name in the header and its fields without the header."""

    place: int
    name: str
    fields: Sequence[str]

    @property
    def length(self) -> float:
        return fmean(map(len, self.fields)) if self.fields else 0.0

    @property
    def words(self) -> float:
        return fmean(len(field.split()) for field in self.fields) if self.fields else 0.0

    def is_named(self, names: Iterable[str]) -> bool:
        return self.name.casefold() in names


def columns_of_json(path: str, text: str) -> list[Column]:
    """The keys with a single value in each object, or with none in some, which is reported when they are read."""
    objects = [values for _, values in json_objects(path, text)]
    if not objects:
        raise DataError(f"{path} has no rows: give a file with rows")
    present = {key: [values[key] for values in objects if values.get(key) is not None] for key in objects[0]}
    columns = {key: values for key, values in present.items() if values and all(map(_is_single, values))}
    return [Column(i, key, list(map(str, values))) for i, (key, values) in enumerate(columns.items())]


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def given_column(
    path: str, columns: list[Column], given: str | int | None, dialect: Dialect, option: str
) -> Column | None:
    """The column that an option gives; None: it gives none."""
    if given is None:
        return None
    for column in columns:
        if given in (column.name, column.place, column.place - len(columns)) and given != "":
            return column
    advice = closest(given, [column.name[:40] for column in columns]) if isinstance(given, str) else ""
    raise DataError(f"{path} has no column {given!r} (data.{option}; {dialect}, {list_columns(columns)}){advice}")


def index_of(columns: list[Column], given: str | int | None) -> int | None:
    """The index of the column that an option gives; None: it gives none."""
    return next((c.place for c in columns if given is not None and given in (c.name, c.place)), None)


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it has a known name, or where others have numbers or labels it has a
    text of its own.
    """
    if len(rows) < 2:
        return bool(rows) and sum(_is_known(field) for field in rows[0]) >= 2
    first, others = rows[0], rows[1:]
    columns = [[fields[i] for fields in others] for i in range(len(first))]
    if any(not field or first[i] in columns[i] for i, field in enumerate(first)) or len(set(first)) < len(first):
        # no name of a column is empty, occurs below itself or twice; pandas leaves that of an index empty
        return first[0] == "" and has_header([fields[1:] for fields in rows])
    numbers = [i for i, column in enumerate(columns) if all(map(_is_number, column))]
    if numbers:
        return not any(_is_number(first[i]) for i in numbers)
    if any(map(_is_known, first)):
        return True
    short = all(len(field.split()) <= 2 and len(field) <= 30 for field in first)
    longer = any(fmean(len(field.split()) for field in column) >= 5 for column in columns)
    return short and longer and any(are_labels(column) for column in columns)


def _is_known(name: str) -> bool:
    return name.casefold() in {*TEXT_NAMES, *TITLE_NAMES, *LABEL_NAMES}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", text) is not None


def find_label_column(path: str, columns: list[Column], text: int | None) -> Column:
    """The column of the labels: by its name, else the one with few different values.

    Args:
        path: of the file, for messages.
        columns: among which to choose.
        text: the index of the column of the texts, if it is given.

    Raises:
        DataError: there is no such column, or several.
    """
    free = [column for column in columns if column.place != text]
    for name in LABEL_NAMES:
        named = [column for column in free if column.name.casefold() == name]
        if len(named) == 1:
            return named[0]
    likely = [column for column in free if are_labels(column.fields)]
    if not likely:
        likely = [column for column in free if len(set(column.fields)) == 1]
    if len(likely) == 1:
        return likely[0]
    if not likely:
        raise DataError(f"{path} has no column with few different values: give the labels by data.label_column")
    raise DataError(
        f"{path} has several columns that may be the labels, {list_columns(likely)}: choose by data.label_column"
    )


def find_text_column(path: str, columns: list[Column], label: Column) -> Column:
    """The column of the texts: by its name, else the one with by far the longest fields.

    Args:
        path: of the file, for messages.
        columns: among which to choose.
        label: the column of the labels.

    Raises:
        DataError: there is no such column, or several.
    """
    free = [column for column in columns if column != label]
    named = [column for column in free if column.is_named(TEXT_NAMES)]
    if len(named) > 1:
        named = [column for column in named if column.is_named(("text",))]
    if len(named) == 1:
        return named[0]
    texts = [column for column in free if not all(map(_is_number, column.fields))] or free
    texts = sorted(texts, key=lambda column: -column.length)
    if not texts:
        raise DataError(f"{path} has one column: give texts and labels, as in a table or in lines of LABEL text")
    if len(texts) > 1 and (texts[1].words >= 3 or texts[0].length < 3 * texts[1].length):
        titled = [column for column in texts if column.is_named(TITLE_NAMES)]
        if len(titled) == 1 and texts[0] in titled:
            return titled[0]
        raise DataError(
            f"{path} has several columns that may be the texts, {list_columns(free)}: choose by data.text_column"
        )
    return texts[0]


def are_labels(values: Sequence[str]) -> bool:
    """Whether values look like labels: short, few different ones, and most of these more than once."""
    counts = Counter(values)
    if "" in counts or not 2 <= len(counts) <= MOST_CLASSES or fmean(map(len, values)) > LONGEST_LABEL:
        return False
    if len(values) < 10:
        return len(counts) < len(values) or all(len(value.split()) == 1 for value in counts)
    single = sum(count == 1 for count in counts.values())
    return 2 * len(counts) <= len(values) and single <= max(1, len(counts) // 4)


def describe_classes(labels: Sequence[str]) -> str:
    """The number of classes, and the most frequent ones."""
    counts = Counter(labels)
    listed = ", ".join(label[:20] for label, _ in counts.most_common(LISTED))
    number = counted(len(counts), "class", "classes")
    return f"{number}: {listed}{', ...' if len(counts) > LISTED else ''}"


def describe_column(column: Column) -> str:
    """A column in messages, by its name or its index."""
    return f"column {column.name!r}" if column.name else f"column {column.place}"


def list_columns(columns: Sequence[Column]) -> str:
    """The first columns in messages."""
    return ", ".join([*(describe_column(c) for c in columns[:LISTED]), *["..."] * (len(columns) > LISTED)])
