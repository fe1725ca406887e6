"""Detection of the dialect of a table: its separator, and whether fields are quoted."""

from __future__ import annotations

from collections import Counter

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.packed import unpacked_name
from seqzoo.data.sources.tables import COMMON, JSON, RARE, SPACES, Dialect, dialect_by_name, json_objects, split_rows

SAMPLE = 2**20
"""Characters of a file that decide about its dialect."""

REGULAR = 0.9
"""Share of the rows that have the same number of fields in the right dialect."""


def find_dialect(path: str, text: str) -> Dialect | None:
    """The dialect of a table; None: the text is not a table.

    That of the suffix is taken if it gives rows of equal width and no other does better.

    Args:
        path: of the file.
        text: of the file.
    """
    named = dialect_by_name(path)
    if named.separator == JSON or begins_as_json(path, text):
        return Dialect(JSON)
    sample = text if len(text) <= SAMPLE else text[:SAMPLE].rpartition("\n")[0]
    candidates = [named]
    for separator in COMMON:
        candidates += [Dialect(separator, quoted=True), Dialect(separator)]
    candidates += map(Dialect, (*RARE, SPACES))
    best, best_score = None, (False, False, 0.0)
    for dialect in dict.fromkeys(candidates):
        score = _regularity(path, sample, dialect)
        if score > best_score:
            best, best_score = dialect, score
    if best is not None:
        return best
    first = text.lstrip("\n").partition("\n")[0]
    declared = unpacked_name(path).endswith((".csv", ".tsv"))
    return named if declared and named.separator in first else None


def _regularity(path: str, text: str, dialect: Dialect) -> tuple[bool, bool, float]:
    """Whether the first row is like the others, no column is empty throughout, and the share of rows of equal width;
    zeros where the text is not a table in this dialect.
    """
    try:
        rows = [fields for _, fields in split_rows(path, text, dialect)]
    except DataError:
        return (False, False, 0.0)
    if not rows:
        return (False, False, 0.0)
    width, count = Counter(map(len, rows)).most_common(1)[0]
    if width < 2 or count < REGULAR * len(rows):
        return (False, False, 0.0)
    regular = [fields for fields in rows if len(fields) == width]
    filled = all(any(fields[column].strip() for fields in regular) for column in range(width))
    return (len(rows[0]) == width, filled, count / len(rows))


def begins_as_json(path: str, text: str) -> bool:
    """Whether a text is JSON: objects, or a list of them."""
    begin = text.lstrip()
    if not begin.startswith(("{", "[")):
        return False
    try:
        return next(json_objects(path, text), None) is not None
    except DataError:
        return False
