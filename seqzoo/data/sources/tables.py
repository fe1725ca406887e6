"""Reading tables of texts: JSON, or columns between separators. `detection` finds how a table is written."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.packed import unpacked_name
from seqzoo.data.sources.reading import Row, check_characters, parse_json, read_pieces, read_text


@dataclass(frozen=True)
class Dialect:
    """How the rows of a table are written.

    Attributes:
        separator: between fields; SPACES: two spaces or more, or a tab; JSON: rows are objects.
        quoted: fields in quotes may contain separators and line ends, as in CSV; otherwise quotes have no meaning.
    """

    separator: str
    quoted: bool = False

    def __str__(self) -> str:
        if self.separator == JSON:
            return "JSON"
        return f"table with columns separated by {_NAMES_OF_SEPARATORS[self.separator]}"


JSON, SPACES = "json", "spaces"
COMMON, RARE = (",", "\t", ";", "|"), ("|||", "::", "^", "~")
"""Separators of tables; the rare ones are those of parallel texts, of MovieLens, and of exports from data bases."""
_NAMES_OF_SEPARATORS = {
    ",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", SPACES: "spaces",
    "|||": "triple bars", "::": "double colons", "^": "carets", "~": "tildes",
}  # fmt: skip
_ALIGNED = re.compile(r" {2,}|\t+")


def dialect_by_name(path: str) -> Dialect:
    """The dialect of a file by its suffix: .jsonl and .json, .csv with commas and quotes, otherwise tabs."""
    inner = unpacked_name(path)
    if inner.endswith((".jsonl", ".json")):
        return Dialect(JSON)
    return Dialect(",", quoted=True) if inner.endswith(".csv") else Dialect("\t")


def read_table(
    path: str,
    columns: Sequence[str | int],
    encoding: str = "utf-8",
    lists: bool = False,
    options: Sequence[str] = (),
    dialect: Dialect | None = None,
    header: bool | None = None,
) -> list[Row]:
    """Read some columns of a table, with stripped fields.

    Args:
        path: of the file.
        columns: names in the header, or keys of JSON; or zero-based indices.
        encoding: of the file.
        lists: a field of JSON may be a list of texts, which become the lines of one text.
        options: the option of the data that names each column, for messages.
        dialect: None: that of the file's suffix, see `dialect_by_name`.
        header: whether the first row names the columns; None: where a column is given by its name.

    Raises:
        DataError: a row has another number of fields than the others, or a field is not a text, number or boolean.
    """
    dialect = dialect or dialect_by_name(path)
    text = read_text(path, encoding)
    called = {column: f"{column!r} (data.{option})" for column, option in zip(columns, options, strict=False)}
    if dialect.separator == JSON:
        return [_json_row(where, values, columns, called, lists) for where, values in json_objects(path, text)]
    rows = list(split_rows(path, text, dialect))
    named = any(isinstance(column, str) for column in columns)
    _check_widths(path, rows, named, dialect)
    names = [name.strip() for name in rows[0][1]]
    if named or header:
        del rows[0]
    places = [_place_of(path, names, column, called.get(column, repr(column))) for column in columns]
    return [Row([fields[place].strip() for place in places], f"{path}:{number}") for number, fields in rows]


def split_rows(path: str, text: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not blank, each with the number of its first line.

    Raises:
        DataError: quotes are not those of CSV.
    """
    if dialect.quoted:
        yield from _quoted_rows(path, text, dialect.separator)
        return
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        if line.strip():
            aligned = dialect.separator == SPACES
            yield number, _ALIGNED.split(line.strip()) if aligned else line.split(dialect.separator)


def json_objects(path: str, text: str, start: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON text, each with its place: one per line, a list of objects, or a list in an object.

    Args:
        path: of the file, for places.
        text: of the file, or lines of it.
        start: number of lines before the text.

    Raises:
        DataError: it is not JSON, or has no objects.
    """
    items = json_list(text)
    if items is not None and all(isinstance(item, dict) for item in items):
        yield from ((f"{path}, item {number}", item) for number, item in enumerate(items, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=start + 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        values = parse_json(line, where, "one object per line")
        if not isinstance(values, dict):
            raise DataError(f'{where}: found {line[:40]!r}, expected an object such as {{"text": ..., "label": ...}}')
        yield where, values


def json_texts(path: str, key: str, encoding: str = "utf-8") -> Iterator[str]:
    """The texts of JSON objects, each with a line end. Those of one object per line need not fit into memory.

    Args:
        path: of the file.
        key: of the texts; lists of texts are lines.
        encoding: of the file.
    """
    pieces = read_pieces(path, encoding)
    first = next(pieces)
    lines = first.lstrip().startswith("{") and is_json(first.strip().partition("\n")[0])
    start = 0
    for piece in chain([first], pieces) if lines else ["".join([first, *pieces])]:
        for where, values in json_objects(path, piece, start):
            if key not in values:
                raise DataError(f"{where}: no key {key!r}{closest(key, values)}")
            yield json_field(values[key], where, key, lists=True) + "\n"
        start += piece.count("\n")


def json_list(text: str) -> list[Any] | None:
    """The items of a text that is one JSON list, or one JSON object of objects or with a list of objects, which may be
    the only one within its objects; None: it is neither.
    """
    begin = text.lstrip()[:1]
    if begin not in ("[", "{"):
        return None
    first, _, others = text.strip().partition("\n")
    if begin == "{" and others and is_json(first):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and value] or _inner_lists(content)
        content = lists[0] if len(lists) == 1 else list(content.values())
        return content if content and all(isinstance(item, dict) for item in content) else None
    return content


def _inner_lists(content: dict[str, Any]) -> list[list[Any]]:
    """The lists of objects within the objects of an object, such as that of {"response": {"docs": [{...}, {...}]}}."""
    inner = [value for value in content.values() if isinstance(value, dict)]
    lists = [value for part in inner for value in part.values() if isinstance(value, list) and value]
    of_objects = [value for value in lists if all(isinstance(item, dict) for item in value)]
    return of_objects + [value for part in inner for value in _inner_lists(part)]


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def json_field(value: Any, where: str, name: str, lists: bool = False) -> str:
    """A value from JSON as text; numbers and booleans in the notation of JSON.

    Args:
        value: of the field.
        where: file and line, for messages.
        name: of the field, for messages.
        lists: as of `read_table`.

    Raises:
        DataError: it is neither a text nor a finite number nor a boolean.
    """
    if lists and isinstance(value, list):
        return "\n".join(json_field(part, where, name) for part in value)
    if value is None:
        raise DataError(f"{where}: {name!r} is null: remove the row, or fill it in")
    if isinstance(value, str):
        check_characters(value, where)
        return value.strip()
    if not isinstance(value, bool | int | float):
        kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
        raise DataError(f"{where}: {name!r} is {kind}, expected a text, a number, true or false")
    if not math.isfinite(value):
        raise DataError(f"{where}: {name!r} is {value}, which is not a finite number: correct or remove the row")
    return json.dumps(value)


def _json_row(
    where: str, values: dict[str, Any], columns: Sequence[str | int], called: dict[str | int, str], lists: bool
) -> Row:
    for column in columns:
        name = called.get(column, repr(column))
        if isinstance(column, int):
            keys = ", ".join(key[:40] for key in values)[:100]
            raise DataError(f"{where}: column {name} is a number, but JSON has names: give one of {keys}")
        if column not in values:
            raise DataError(f"{where}: no key {name}{closest(str(column), [key[:40] for key in values])}")
    return Row([json_field(values[str(column)], where, str(column), lists) for column in columns], where)


def _quoted_rows(path: str, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=separator, strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # documents may be long
    number = 1
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                yield number, fields
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: not CSV ({error}): correct the quotes or the end of this line"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _check_widths(path: str, rows: list[tuple[int, list[str]]], named: bool, dialect: Dialect) -> None:
    """Raise DataError for the first row whose number of fields is not that of the first row."""
    if not rows:
        raise DataError(f"{path} has no rows: give a file with rows")
    first = rows[0][1]
    for number, fields in rows:
        if len(fields) == len(first):
            continue
        others = (
            f"the header has {len(first)} ({', '.join(first)[:80]})" if named else f"the first row has {len(first)}"
        )
        if len(fields) < len(first):
            advice = "Correct the row: an empty field also needs its separator"
        elif dialect.quoted:
            advice = f"Quote the text if it contains {_NAMES_OF_SEPARATORS[dialect.separator]}"
        else:
            advice = f"Remove the {_NAMES_OF_SEPARATORS[dialect.separator]} inside the texts"
        if not dialect.quoted and any(field.startswith('"') and field.count('"') % 2 for field in fields):
            advice = "Quotes have no meaning here: give a .csv file, or texts without tabs and line ends"
        raise DataError(f"{path}:{number}: the row has {_count(len(fields))}, {others}. {advice}")


def _count(fields: int) -> str:
    return counted(fields, "field")


def _place_of(path: str, header: list[str], column: str | int, named: str) -> int:
    if isinstance(column, int):
        if not -len(header) <= column < len(header):
            raise DataError(f"{path} has no column {named}: its rows have {_count(len(header))}, counted from 0")
        return column
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise DataError(f"{path} has {header.count(column)} columns {named}: rename them or give an index (from 0)")
    advice = closest(column, [name[:40] for name in header])
    if "Did you mean" not in advice:
        advice += ". Without a header, columns are given by zero-based indices"
    if len(header) == 1 and any(mark in header[0] for mark in ";,|\t"):
        advice += "" if advice.endswith("?") else "."
        advice += " Does its suffix tell the wrong separator? .csv means commas, all others tabs"
    raise DataError(f"{path} has no column {named}{advice}")
