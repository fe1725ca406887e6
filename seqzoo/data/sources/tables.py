"""Reading tables of texts: .csv, .jsonl, or tab-separated."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.packed import unpacked_name
from seqzoo.data.sources.reading import Row, check_characters, filled_lines, parse_json, read_text


def read_table(
    path: str, columns: list[str | int], encoding: str = "utf-8", lists: bool = False, options: Sequence[str] = ()
) -> list[Row]:
    """Read some columns of a table, with stripped fields.

    Args:
        path: of a .csv, .jsonl or otherwise tab-separated file. In a tab-separated file quotes have no meaning, and
            fields cannot contain tabs or line ends.
        columns: names in the header, or keys of .jsonl; or zero-based indices for a file without a header.
        encoding: of the file.
        lists: a field of .jsonl may be a list of texts, which become the lines of one text.
        options: the option of the data that names each column, for messages.

    Raises:
        DataError: a row has another number of fields than the others, or a field is not a text, number or boolean.
    """
    inner = unpacked_name(path)
    named = {column: f"{column!r} (data.{option})" for column, option in zip(columns, options, strict=False)}
    if inner.endswith((".jsonl", ".json")):
        return [_json_row(path, number, line, columns, named, lists) for number, line in filled_lines(path, encoding)]
    comma = inner.endswith(".csv")
    rows = list(_csv_rows(path, encoding) if comma else _tab_rows(path, encoding))
    _check_widths(path, rows, columns, comma)
    header = [name.strip() for name in rows[0][1]]
    if any(isinstance(column, str) for column in columns):
        del rows[0]
    places = [_place_of(path, header, column, named.get(column, repr(column))) for column in columns]
    return [Row([fields[place].strip() for place in places], f"{path}:{number}") for number, fields in rows]


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
        raise DataError(f"{where}: {name!r} is null: remove the row, or fill it in.")
    if isinstance(value, str):
        check_characters(value, where)
        return value.strip()
    if not isinstance(value, bool | int | float):
        kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
        raise DataError(f"{where}: {name!r} is {kind}, expected a text, a number, true or false.")
    if not math.isfinite(value):
        raise DataError(f"{where}: {name!r} is {value}, which is not a finite number: correct or remove the row.")
    return json.dumps(value)


def _json_row(
    path: str, number: int, line: str, columns: list[str | int], named: dict[str | int, str], lists: bool
) -> Row:
    where = f"{path}:{number}"
    values = parse_json(line, where, "one object per line")
    if not isinstance(values, dict):
        raise DataError(f'{where}: found {line[:40]!r}, expected an object such as {{"text": ..., "label": ...}}.')
    for column in columns:
        if isinstance(column, int):
            names = ", ".join(name[:40] for name in values)[:100]
            told = named.get(column, column)
            raise DataError(f"{where}: column {told} is a number, but JSON has names: give one of {names}.")
        if column not in values:
            told = named.get(column, repr(column))
            raise DataError(f"{where}: no key {told}.{closest(str(column), [key[:40] for key in values])}")
    return Row([json_field(values[column], where, str(column), lists) for column in columns], where)


def _tab_rows(path: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in filled_lines(path, encoding))


def _csv_rows(path: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line."""
    reader = csv.reader(io.StringIO(read_text(path, encoding), newline="\n"), strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # documents may be long
    number = 1
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                yield number, fields
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}:{reader.line_num}: not CSV ({error}): correct the quotes or the end of this line."
        ) from None
    finally:
        csv.field_size_limit(limit)


def _check_widths(path: str, rows: list[tuple[int, list[str]]], columns: list[str | int], comma: bool) -> None:
    """Raise DataError for the first row whose number of fields is not that of the first row."""
    if not rows:
        raise DataError(f"{path} has no rows: give a file with rows.")
    first = rows[0][1]
    named = any(isinstance(column, str) for column in columns)
    for number, fields in rows:
        if len(fields) == len(first):
            continue
        others = (
            f"the header has {len(first)} ({', '.join(first)[:80]})" if named else f"the first row has {len(first)}"
        )
        if len(fields) < len(first):
            advice = "Correct the row: an empty field also needs its separator."
        elif comma:
            advice = "Quote the text if it contains commas."
        else:
            advice = "Remove the tabs inside the texts."
        if not comma and any(field.startswith('"') and field.count('"') % 2 for field in fields):
            advice = "Quotes have no meaning here: give a .csv file, or texts without tabs and line ends."
        raise DataError(f"{path}:{number}: the row has {_count(len(fields))}, {others}. {advice}")


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"


def _place_of(path: str, header: list[str], column: str | int, named: str) -> int:
    if isinstance(column, int):
        if not -len(header) <= column < len(header):
            raise DataError(f"{path} has no column {named}: its rows have {_count(len(header))}, counted from 0.")
        return column
    if header.count(column) == 1:
        return header.index(column)
    if column in header:
        raise DataError(f"{path} has {header.count(column)} columns {named}: rename them or give an index (from 0).")
    advice = closest(column, [name[:40] for name in header])
    if "Did you mean" not in advice:
        advice += " Without a header, columns are given by zero-based indices."
    if len(header) == 1 and any(mark in header[0] for mark in ";,|\t"):
        advice += " Does its suffix tell the wrong separator? .csv means commas, all others tabs."
    raise DataError(f"{path} has no column {named}.{advice}")
