"""Detection of a file's form from its content and then its name: encoding, dialect of a table, columns of labels.

What an option gives is never detected. What is unclear is an error that names the option.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any, Literal

from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.packed import PIECE, open_bytes, unpacked_name
from seqzoo.data.sources.reading import (
    PACKED,
    WIDE,
    Row,
    read_labelled_lines,
    read_pieces,
    read_target_lines,
    read_text,
)
from seqzoo.data.sources.tables import (
    JSON,
    SPACES,
    Dialect,
    dialect_by_name,
    is_json,
    json_objects,
    read_table,
    split_rows,
)

AUTO = "auto"

EXAMINED = 2**26
"""Bytes of a file that are checked for their encoding."""

SAMPLE = 2**20
"""Characters of a file that decide about its dialect."""

REGULAR = 0.9
"""Share of the rows that have the same number of fields in the right dialect."""

FOREIGN = 0.3
"""Share of bytes above 127 among letters from which on a text is not in the Latin alphabet."""

OTHER_ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8_r")

TEXT_NAMES = ("text", "sentence", "review", "content", "comment", "sequence", "tweet", "message", "body", "document")
TITLE_NAMES = ("title", "question", "description", "headline", "query", "utterance", "phrase", "name")
LABEL_NAMES = ("label", "class", "category", "sentiment", "target", "stars", "rating", "score", "polarity", "intent")
"""Names of columns, the more certain ones first."""

POEM_NAMES = ("paragraphs", "lines", "verses", "poem", "contents")

SIDES = {"source", "target", "src", "tgt", "trg", "input", "output", "question", "answer"}
SIDES |= {"english", "french", "german", "spanish", "chinese", "japanese", "russian", "italian", "portuguese", "dutch"}
SIDES |= {"en", "fr", "de", "es", "zh", "ja", "ru", "pt", "nl", "ko", "eng", "fra", "deu", "spa", "cmn", "zho", "jpn"}
"""Names of the columns of pairs in a header."""

MOST_CLASSES = 1_000
LONGEST_LABEL = 40
"""Largest number of classes, and of characters of a label on average, in a column that is detected by its content."""

EXAMINED_OBJECTS = 1_000
"""Objects of JSON that tell which key has the texts."""

LISTED = 4
"""Columns that a message lists."""


def find_encoding(path: str) -> str:
    """The encoding of a text file: that of its byte order mark, UTF-8 where that fits, else latin-1 or cp1252.

    Raises:
        DataError: the text is neither UTF-8 nor in the Latin alphabet.
    """
    decoder, size = codecs.getincrementaldecoder("utf-8")(), 0
    with open_bytes(path) as file:
        data = begin = file.read(PIECE)
        if data.startswith(tuple(PACKED)):
            return "utf-8"  # reading it reports the missing suffix
        for mark, name in WIDE.items():
            if data.startswith(mark):
                return name
        try:
            while data and size < EXAMINED:
                decoder.decode(data)
                size += len(data)
                data = file.read(PIECE)
            decoder.decode(b"", final=not data)
            return "utf-8"
        except UnicodeDecodeError:
            sample = data or begin
    high = sum(byte > 127 for byte in sample)
    letters = sum(chr(byte).isalpha() for byte in sample if byte < 128)
    if high > FOREIGN * (high + letters):
        fitting = [name for name in OTHER_ENCODINGS if _decodes(sample, name)]
        raise DataError(f"{path} is not UTF-8: set data.encoding to what it is written in, perhaps {_any_of(fitting)}")
    controls = any(0x80 <= byte < 0xA0 for byte in sample)
    return "cp1252" if controls and _decodes(sample, "cp1252") else "latin-1"


def encoding_statement(encoding: str) -> str | None:
    """What to say about an encoding that was found; None for UTF-8."""
    if encoding == "utf-8":
        return None
    if encoding in WIDE.values():
        return f"{encoding} by the byte order mark"
    return f"read as {encoding}, since not UTF-8; if letters are wrong, set data.encoding, perhaps to gb18030 or cp1250"


def find_dialect(path: str, text: str) -> Dialect | None:
    """The dialect of a table; None: the text is not a table.

    That of the suffix is taken if it gives rows of equal width and no other does better.

    Args:
        path: of the file.
        text: of the file.
    """
    named = dialect_by_name(path)
    if named.separator == JSON or _begins_as_json(path, text):
        return Dialect(JSON)
    sample = text if len(text) <= SAMPLE else text[:SAMPLE].rpartition("\n")[0]
    candidates = [named]
    for separator in ",\t;|":
        candidates += [Dialect(separator, quoted=True), Dialect(separator)]
    candidates.append(Dialect(SPACES))
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
    if all(len(parts) == 2 for parts in words) and _are_labels(labels):
        return Form("label_first", statement=f"lines of a label and a text, {_classes(labels)} (data.format)")
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
        columns, header = _columns_of_json(path, text), True
    else:
        rows = [[field.strip() for field in fields] for _, fields in split_rows(path, text, dialect)]
        first = [name.casefold() for name in rows[0]]
        header = any(isinstance(column, str) for column in given) or set(first[:2]) <= SIDES
        names = rows[0] if header else [""] * len(first)
        columns = [_Column(i, name, ()) for i, name in enumerate(names)]
    source = _given(path, columns, source_column, dialect, "source_column")
    target = _given(path, columns, target_column, dialect, "target_column")
    if source is None or target is None or source == target:
        raise DataError(f"{path}: source and target are one column: choose data.source_column and data.target_column")
    statement = f"{_written(dialect, header)}; sources: {_described(source)}, targets: {_described(target)}"
    others = [column for column in columns if column not in (source, target)]
    if others:
        statement += f"; unused: {_list(others)}"
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
    if not _begins_as_json(path, text):
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


@dataclass(frozen=True)
class _Column:
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


def _table_form(
    path: str,
    text: str,
    dialect: Dialect,
    given: tuple[str | int | None, str | int | None],
    others: Mapping[str, str | int],
) -> Form:
    if dialect.separator == JSON:
        columns, header = _columns_of_json(path, text), True
    else:
        rows = [[field.strip() for field in fields] for _, fields in split_rows(path, text, dialect)]
        width = len(rows[0]) if rows else 0
        regular = [fields for fields in rows if len(fields) == width]
        header = any(isinstance(column, str) for column in (*given, *others.values())) or _has_header(regular)
        names = regular[0] if header else [""] * width
        kept = regular[header:]
        columns = [_Column(i, names[i], [fields[i] for fields in kept]) for i in range(width)]
    given_others = {option: _given(path, columns, column, dialect, option) for option, column in others.items()}
    taken = {option: column for option, column in given_others.items() if column is not None}
    free = [column for column in columns if column not in taken.values()]
    label = _given(path, columns, given[0], dialect, "label_column") or _label_column(
        path, free, _index(columns, given[1])
    )
    text_column = _given(path, columns, given[1], dialect, "text_column") or _text_column(path, free, label)
    used = [label, text_column]
    unused = [column for column in free if column not in used]
    statement = f"{_written(dialect, header)}; texts: {_described(text_column)}, labels: {_described(label)}"
    statement += f" ({_classes(label.fields)})"
    for option, column in taken.items():
        statement += f", {option}: {_described(column)}"
    if unused:
        statement += f"; unused: {_list(unused)} (choose by data.text_column, data.label_column)"
    by_name = header and all(sum(column.name == other.name for other in columns) == 1 for column in used)
    places = (label.name, text_column.name) if by_name else (label.place, text_column.place)
    return Form("table", dialect, header, places, statement)


def _written(dialect: Dialect, header: bool) -> str:
    return str(dialect) if dialect.separator == JSON else f"{dialect}, {'a header' if header else 'no header'}"


def _columns_of_json(path: str, text: str) -> list[_Column]:
    """The keys with a single value in each object, or with none in some, which is reported when they are read."""
    objects = [values for _, values in json_objects(path, text)]
    if not objects:
        raise DataError(f"{path} has no rows: give a file with rows")
    present = {key: [values[key] for values in objects if values.get(key) is not None] for key in objects[0]}
    columns = {key: values for key, values in present.items() if values and all(map(_is_single, values))}
    return [_Column(i, key, list(map(str, values))) for i, (key, values) in enumerate(columns.items())]


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def _given(path: str, columns: list[_Column], given: str | int | None, dialect: Dialect, option: str) -> _Column | None:
    """The column that an option gives; None: it gives none."""
    if given is None:
        return None
    for column in columns:
        if given in (column.name, column.place, column.place - len(columns)) and given != "":
            return column
    advice = closest(given, [column.name[:40] for column in columns]) if isinstance(given, str) else ""
    raise DataError(f"{path} has no column {given!r} (data.{option}; {dialect}, {_list(columns)}){advice}")


def _index(columns: list[_Column], given: str | int | None) -> int | None:
    return next((c.place for c in columns if given is not None and given in (c.name, c.place)), None)


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it has a known name, or where others have numbers or labels it has a
    text of its own.
    """
    if len(rows) < 2:
        return bool(rows) and sum(_is_known(field) for field in rows[0]) >= 2
    first, others = rows[0], rows[1:]
    columns = [[fields[i] for fields in others] for i in range(len(first))]
    if any(not field or first[i] in columns[i] for i, field in enumerate(first)) or len(set(first)) < len(first):
        # no name of a column is empty, occurs below itself or twice; pandas leaves that of an index empty
        return first[0] == "" and _has_header([fields[1:] for fields in rows])
    numbers = [i for i, column in enumerate(columns) if all(map(_is_number, column))]
    if numbers:
        return not any(_is_number(first[i]) for i in numbers)
    if any(map(_is_known, first)):
        return True
    short = all(len(field.split()) <= 2 and len(field) <= 30 for field in first)
    longer = any(fmean(len(field.split()) for field in column) >= 5 for column in columns)
    return short and longer and any(_are_labels(column) for column in columns)


def _is_known(name: str) -> bool:
    return name.casefold() in {*TEXT_NAMES, *TITLE_NAMES, *LABEL_NAMES}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", text) is not None


def _label_column(path: str, columns: list[_Column], text: int | None) -> _Column:
    free = [column for column in columns if column.place != text]
    for name in LABEL_NAMES:
        named = [column for column in free if column.name.casefold() == name]
        if len(named) == 1:
            return named[0]
    likely = [column for column in free if _are_labels(column.fields)]
    if not likely:
        likely = [column for column in free if len(set(column.fields)) == 1]
    if len(likely) == 1:
        return likely[0]
    if not likely:
        raise DataError(f"{path} has no column with few different values: give the labels by data.label_column")
    raise DataError(f"{path} has several columns that may be the labels, {_list(likely)}: choose by data.label_column")


def _text_column(path: str, columns: list[_Column], label: _Column) -> _Column:
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
        raise DataError(f"{path} has several columns that may be the texts, {_list(free)}: choose by data.text_column")
    return texts[0]


def _are_labels(values: Sequence[str]) -> bool:
    """Whether values look like labels: short, few different ones, and most of these more than once."""
    counts = Counter(values)
    if "" in counts or not 2 <= len(counts) <= MOST_CLASSES or fmean(map(len, values)) > LONGEST_LABEL:
        return False
    if len(values) < 10:
        return len(counts) < len(values) or all(len(value.split()) == 1 for value in counts)
    single = sum(count == 1 for count in counts.values())
    return 2 * len(counts) <= len(values) and single <= max(1, len(counts) // 4)


def _classes(labels: Sequence[str]) -> str:
    counts = Counter(labels)
    listed = ", ".join(label[:20] for label, _ in counts.most_common(LISTED))
    number = "1 class" if len(counts) == 1 else f"{len(counts)} classes"
    return f"{number}: {listed}{', ...' if len(counts) > LISTED else ''}"


def _described(column: _Column) -> str:
    return f"column {column.name!r}" if column.name else f"column {column.place}"


def _list(columns: Sequence[_Column]) -> str:
    return ", ".join([*(_described(c) for c in columns[:LISTED]), *["..."] * (len(columns) > LISTED)])


def _begins_as_json(path: str, text: str) -> bool:
    """Whether a text is JSON: objects, or a list of them."""
    begin = text.lstrip()
    if not begin.startswith(("{", "[")):
        return False
    try:
        return next(json_objects(path, text), None) is not None
    except DataError:
        return False


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names) if names else "latin-1"
