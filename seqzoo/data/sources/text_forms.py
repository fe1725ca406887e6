"""Detection of how a file of texts is written: a table, lines of labels and texts, pairs, or JSON of documents.

What an option gives is never detected. What is unclear is an error that names the option.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Literal

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.dialects import begins_as_json, find_dialect
from seqzoo.data.sources.reading import Row, read_labelled_lines, read_pieces, read_target_lines, read_text
from seqzoo.data.sources.table_columns import (
    TEXT_NAMES,
    Column,
    are_labels,
    columns_of_json,
    describe_classes,
    describe_column,
    find_label_column,
    find_text_column,
    given_column,
    has_header,
    index_of,
    list_columns,
)
from seqzoo.data.sources.tables import JSON, Dialect, dialect_by_name, is_json, json_objects, read_table, split_rows

POEM_NAMES = ("paragraphs", "lines", "verses", "poem", "contents")

SIDES = {"source", "target", "src", "tgt", "trg", "input", "output", "question", "answer"}
SIDES |= {"english", "french", "german", "spanish", "chinese", "japanese", "russian", "italian", "portuguese", "dutch"}
SIDES |= {"en", "fr", "de", "es", "zh", "ja", "ru", "pt", "nl", "ko", "eng", "fra", "deu", "spa", "cmn", "zho", "jpn"}
"""Names of the columns of pairs in a header."""

EXAMINED_OBJECTS = 1_000
"""Objects of JSON that tell which key has the texts."""


@dataclass(frozen=True)
class Form:
    """How a file of labelled texts, or a table of pairs, is written.

    Attributes:
        format: table, label_first ("LABEL text" lines) or target_lines (three lines per example).
        dialect: of a table.
        header: whether the first row of a table names the columns.
        columns: of label and text, or of source and target, in a table; names where there is a header.
        statement: what was taken for what, for the log.
    """

    format: Literal["table", "label_first", "target_lines"]
    dialect: Dialect | None = None
    header: bool = False
    columns: tuple[str | int, str | int] = (0, 1)
    statement: str = ""

    def read(self, path: str, encoding: str, others: Mapping[str, str | int] = MappingProxyType({})) -> list[Row]:
        """The rows of a file of this form.

        Args:
            path: of the file.
            encoding: of the file.
            others: more columns of a table, which follow those of the form, by the names of their options.
        """
        if self.format == "label_first":
            return read_labelled_lines(path, encoding)
        if self.format == "target_lines":
            return read_target_lines(path, encoding)
        columns, options = [*self.columns, *others.values()], ["label_column", "text_column", *others]
        return read_table(path, columns, encoding, False, options, self.dialect, self.header)

    def fits(self, path: str, encoding: str) -> bool:
        """Whether another file has this form."""
        text = read_text(path, encoding)
        dialect = find_dialect(path, text)
        if dialect is None or dialect != self.dialect:
            return dialect is None and self.format != "table"
        if dialect.separator == JSON:
            return all(column in values for _, values in json_objects(path, text) for column in self.columns)
        _, first = next(split_rows(path, text, dialect))
        names = [name.strip() for name in first]
        if self.header:
            return all(column in names if isinstance(column, str) else column < len(names) for column in self.columns)
        return all(isinstance(column, int) and column < len(names) for column in self.columns)


def find_form(
    path: str,
    encoding: str,
    label_column: str | int | None = None,
    text_column: str | int | None = None,
    only_table: bool = False,
    others: Mapping[str, str | int] = MappingProxyType({}),
) -> Form:
    """Detect the form of a file of labelled texts.

    Args:
        path: of the file.
        encoding: of the file.
        label_column, text_column: given by the user; None: detected from names and contents.
        only_table: the file is known to be a table.
        others: columns that have neither labels nor texts, by the names of their options.

    Raises:
        DataError: the form is unclear; the message names the option that says it.
    """
    text = read_text(path, encoding)
    dialect = find_dialect(path, text)
    if dialect is not None:
        return _table_form(path, text, dialect, (label_column, text_column), others)
    if only_table or label_column is not None or text_column is not None or others:
        return _table_form(path, text, dialect_by_name(path), (label_column, text_column), others)
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) >= 3 and len(lines) % 3 == 0 and all("$T$" in line for line in lines[::3]):
        return Form("target_lines", statement="three lines per example: text with $T$, target, label")
    words = [line.split(maxsplit=1) for line in lines]
    labels = [parts[0] for parts in words]
    if all(label.startswith("(") for label in labels):
        raise DataError(f"{path} has bracketed trees: give lines of LABEL text instead, or a class of your own")
    if all(len(parts) == 2 for parts in words) and are_labels(labels):
        return Form("label_first", statement=f"lines of a label and a text, {describe_classes(labels)} (data.format)")
    raise DataError(
        f"{path} is neither a table nor lines of LABEL text: give data.format and, for a table, data.text_column and "
        "data.label_column; for one file or folder per class give data.train='FOLDER/*.txt'"
    )


def find_pairs(path: str, encoding: str, source_column: str | int, target_column: str | int) -> Form:
    """Detect how a table of pairs of texts is written.

    Raises:
        DataError: it is not a table, or does not have the columns.
    """
    text = read_text(path, encoding)
    dialect = find_dialect(path, text)
    if dialect is None:
        raise DataError(
            f"{path} is not a table of pairs: put a tab between the two texts, or give a file of targets, aligned by "
            "line, with data.train_target (data.validation_target, data.test_target)"
        )
    given = (source_column, target_column)
    if dialect.separator == JSON:
        columns, header = columns_of_json(path, text), True
    else:
        rows = [[field.strip() for field in fields] for _, fields in split_rows(path, text, dialect)]
        first = [name.casefold() for name in rows[0]]
        header = any(isinstance(column, str) for column in given) or set(first[:2]) <= SIDES
        names = rows[0] if header else [""] * len(first)
        columns = [Column(i, name, ()) for i, name in enumerate(names)]
    source = given_column(path, columns, source_column, dialect, "source_column")
    target = given_column(path, columns, target_column, dialect, "target_column")
    if source is None or target is None or source == target:
        raise DataError(f"{path}: source and target are one column: choose data.source_column and data.target_column")
    statement = f"{_written(dialect, header)}; sources: {describe_column(source)}, targets: {describe_column(target)}"
    others = [column for column in columns if column not in (source, target)]
    if others:
        statement += f"; unused: {list_columns(others)}"
    places = (source.name, target.name) if dialect.separator == JSON else (source.place, target.place)
    return Form("table", dialect, header, places, f"{statement} (data.source_column, data.target_column)")


def find_text_key(path: str, encoding: str) -> str | None:
    """The key of the texts in JSON of documents; None: the file is plain text.

    Raises:
        DataError: several keys may be that of the texts.
    """
    first = next(read_pieces(path, encoding))
    begin = first.lstrip()
    if begin[:1] not in ("{", "["):
        return None
    text = first if begin.startswith("{") and is_json(begin.partition("\n")[0]) else read_text(path, encoding)
    if not begins_as_json(path, text):
        return None
    sample = [values for _, (_, values) in zip(range(EXAMINED_OBJECTS), json_objects(path, text), strict=False)]
    lengths = {
        key: fmean(len(str(values.get(key, ""))) for values in sample)
        for key, value in sample[0].items()
        if isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))
    }
    for name in (*TEXT_NAMES, *POEM_NAMES):
        if name in lengths:
            return name
    longest = sorted(lengths, key=lambda key: -lengths[key])
    if not longest or (len(longest) > 1 and lengths[longest[0]] < 3 * lengths[longest[1]]):
        raise DataError(f"{path} is JSON whose texts may be {' or '.join(longest) or 'nowhere'}: set data.text_column")
    return longest[0]


def _table_form(
    path: str,
    text: str,
    dialect: Dialect,
    given: tuple[str | int | None, str | int | None],
    others: Mapping[str, str | int],
) -> Form:
    if dialect.separator == JSON:
        columns, header = columns_of_json(path, text), True
    else:
        rows = [[field.strip() for field in fields] for _, fields in split_rows(path, text, dialect)]
        width = len(rows[0]) if rows else 0
        regular = [fields for fields in rows if len(fields) == width]
        header = any(isinstance(column, str) for column in (*given, *others.values())) or has_header(regular)
        names = regular[0] if header else [""] * width
        kept = regular[header:]
        columns = [Column(i, names[i], [fields[i] for fields in kept]) for i in range(width)]
    given_others = {option: given_column(path, columns, column, dialect, option) for option, column in others.items()}
    taken = {option: column for option, column in given_others.items() if column is not None}
    free = [column for column in columns if column not in taken.values()]
    label = given_column(path, columns, given[0], dialect, "label_column") or find_label_column(
        path, free, index_of(columns, given[1])
    )
    text_column = given_column(path, columns, given[1], dialect, "text_column") or find_text_column(path, free, label)
    used = [label, text_column]
    unused = [column for column in free if column not in used]
    statement = f"{_written(dialect, header)}; texts: {describe_column(text_column)}, labels: {describe_column(label)}"
    statement += f" ({describe_classes(label.fields)})"
    for option, column in taken.items():
        statement += f", {option}: {describe_column(column)}"
    if unused:
        statement += f"; unused: {list_columns(unused)} (choose by data.text_column, data.label_column)"
    by_name = header and all(sum(column.name == other.name for other in columns) == 1 for column in used)
    places = (label.name, text_column.name) if by_name else (label.place, text_column.place)
    return Form("table", dialect, header, places, statement)


def _written(dialect: Dialect, header: bool) -> str:
    return str(dialect) if dialect.separator == JSON else f"{dialect}, {'a header' if header else 'no header'}"
