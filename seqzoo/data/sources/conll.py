"""Reading and writing CoNLL and CoNLL-U: one token per line, and a blank line after each sentence. Writing replaces the
tags and keeps all else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from seqzoo.contracts.errors import DataError, closest
from seqzoo.data.sources.packed import unpacked_name
from seqzoo.data.sources.reading import read_lines

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_ID = re.compile(r"\d+([-.]\d+)?")
_NOT_A_WORD = re.compile(r"\d+[-.]\d+")
_SPACED = re.compile(r"[^ ]+")

Column = str | int | None


@dataclass
class Sentence:
    """A sentence of a CoNLL file.

    Attributes:
        first: the number of its first line, from 1.
        lines: all of its lines, with comments, ranges, empty nodes and the blank line at its end.
        places: the indices of the lines that hold tokens.
        fields: begin and end of each field of these lines.
        tokens: its tokens.
    """

    first: int
    lines: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    fields: list[list[tuple[int, int]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def text(self, token: int, column: int) -> str:
        """A field of a token, stripped; a field of whitespace, such as an ideographic space, is kept."""
        start, end = self.fields[token][column]
        text = self.lines[self.places[token]][start:end]
        return text.strip() or text.strip(" ")

    def line(self, token: int) -> int:
        """The line number of a token."""
        return self.first + self.places[token]


class TaggedSentence(NamedTuple):
    """A sentence with its tags; where: file and line of its first token."""

    tokens: list[str]
    tags: list[str]
    where: str


def token_and_tag(columns: Mapping[str, Column]) -> tuple[Column, Column]:
    """The columns of token and tag from the option `data.columns`, as of `Conll`."""
    for name in columns:
        if name not in ("token", "tag"):
            raise ValueError(f"columns has no {name!r}: it has token and tag")
    return columns.get("token"), columns.get("tag")


class Conll:
    """The format of a CoNLL file.

    Fields are separated by tabs where any line of the sentence has one, otherwise by spaces. Fields between tabs may be
    empty. In CoNLL-U, comments, ranges (`1-2`) and empty nodes (`8.1`) are not tokens.

    Args:
        token: column of the token: a zero-based index (-1 is the last), or a name of CoNLL-U (form, lemma, upos, ...).
            None: `form` in CoNLL-U, otherwise the first column.
        tag: column of the tag. None or -1: `upos` in CoNLL-U, otherwise the last column.
        conllu: the file is CoNLL-U, which named columns imply.
        separator: of fields; None: tabs or spaces.

    Raises:
        DataError: CoNLL-U does not have the column.
    """

    def __init__(self, token: Column = None, tag: Column = None, conllu: bool = False, separator: str | None = None):
        self.separator = separator
        self.conllu = conllu or isinstance(token, str) or isinstance(tag, str)
        self.assumed = token is None and tag in (None, -1)
        """Whether the columns are the default ones."""
        if token is None:
            token = "form" if self.conllu else 0
        if tag in (None, -1):
            tag = "upos" if self.conllu else -1
        self.token, self.tag = _number_of(token), _number_of(tag)

    def statement(self, lines: Iterable[str]) -> str | None:
        """What is taken for token and tag in a file of these lines; None where the user gave columns."""
        if not self.assumed:
            return None
        if self.conllu:
            return "CoNLL-U; tokens: column form, tags: column upos (data.columns.tag)"
        fields, line = next((s.fields[0], s.lines[s.places[0]]) for s in self.read(lines) if s.tokens)
        separator = self.separator or ("\t" if "\t" in line else " ")
        name = {"\t": "tabs", " ": "spaces", ",": "commas", ";": "semicolons"}[separator]
        return f"{len(fields)} columns separated by {name}; tokens: the first, tags: the last (data.columns)"

    def read(self, lines: Iterable[str]) -> Iterator[Sentence]:
        """Read sentences, which together contain all lines.

        Raises:
            DataError: a line lacks the column of the token.
        """
        sentence = Sentence(1)
        for number, line in enumerate(lines, start=1):
            sentence.lines.append(line)
            if not line.strip():
                yield self._cut(sentence)
                sentence = Sentence(number + 1)
        if sentence.lines:
            yield self._cut(sentence)

    def tagged(self, path: str, lines: Iterable[str]) -> list[TaggedSentence]:
        """Read the sentences of a file with their tags.

        Args:
            path: of the file, for messages.
            lines: of the file.

        Raises:
            DataError: a line has too few columns, another number than the first line of its sentence, or an empty token
                or tag; or the file has no sentences or tags.
        """
        columns = (self.token, self.tag)
        # counted from both ends, so that a column from the front and one from the end never coincide
        needed = max(column + 1 if column >= 0 else 0 for column in columns)
        needed += max(-column if column < 0 else 0 for column in columns)
        tagged = []
        for sentence in self.read(lines):
            if not sentence.tokens:
                continue
            for token, fields in enumerate(sentence.fields):
                where = f"{path}:{sentence.line(token)}"
                if len(fields) < needed:
                    raise DataError(
                        f"{where}: too few columns, {len(fields)} of at least {needed}: correct the line, or "
                        "choose other columns"
                    )
                if len(fields) != len(sentence.fields[0]):
                    raise DataError(
                        f"{where}: {len(fields)} columns, but {len(sentence.fields[0])} in the first line of the "
                        "sentence: correct one of them, or remove the line if it is a comment"
                    )
            tags = [sentence.text(token, self.tag) for token in range(len(sentence.tokens))]
            for name, texts in (("token", sentence.tokens), ("tag", tags)):
                if "" in texts:
                    raise self._empty(path, sentence, name, texts.index(""))
            tagged.append(TaggedSentence(sentence.tokens, tags, f"{path}:{sentence.line(0)}"))
        if not tagged:
            raise DataError(
                f"{path} has no sentences: expected one token per line and a blank line after each sentence"
            )
        if self.conllu and all(tag == "_" for sentence in tagged for tag in sentence.tags):
            raise DataError(
                f"{path} has no tags: its column {CONLLU_COLUMNS[self.tag]} is _ everywhere. Choose another one with "
                "data.columns.tag"
            )
        return tagged

    def write(self, sentence: Sentence, tags: list[str]) -> list[str]:
        """The lines of a sentence with these tags in the column of the tags, which is added where there is none."""
        lines = list(sentence.lines)
        for token, tag in enumerate(tags):
            lines[sentence.places[token]] = self._with_tag(sentence, token, tag)
        return lines

    def _cut(self, sentence: Sentence) -> Sentence:
        """Fill in the fields and tokens of a sentence."""
        sentence.places = [place for place, line in enumerate(sentence.lines) if self._has_token(line)]
        lines = [sentence.lines[place] for place in sentence.places]
        separator = self.separator or ("\t" if any("\t" in line for line in lines) else None)
        sentence.fields = [_by_separator(line, separator) if separator else _by_spaces(line) for line in lines]
        for token, fields in enumerate(sentence.fields):
            if not -len(fields) <= self.token < len(fields):
                raise DataError(
                    f"line {sentence.line(token)}: {len(fields)} columns, and none for the token: correct the line"
                )
            sentence.tokens.append(sentence.text(token, self.token))
        return sentence

    def _has_token(self, line: str) -> bool:
        if not line.strip() or line.startswith("-DOCSTART-"):
            return False
        return not self.conllu or not (line.startswith("#") or _NOT_A_WORD.fullmatch(line.split("\t")[0].strip()))

    def _with_tag(self, sentence: Sentence, token: int, tag: str) -> str:
        line, fields = sentence.lines[sentence.places[token]], sentence.fields[token]
        count = len(fields)
        place = self.tag if self.tag >= 0 else count + self.tag
        if place == count or (self.tag < 0 and place == self.token % count):
            return line + (" " if count > 1 and "\t" not in line else "\t") + tag
        if not 0 <= place < count:
            raise DataError(
                f"line {sentence.line(token)}: {count} columns, and none for the tag: correct the line, or choose "
                "other columns"
            )
        start, end = fields[place]
        return f"{line[:start]}{tag}{line[end:]}"

    def _empty(self, path: str, sentence: Sentence, name: str, token: int) -> DataError:
        advice = "fill it in"
        if name == "tag" and self.tag == -1 and sentence.lines[sentence.places[token]].endswith("\t"):
            advice = f"the line ends in a tab. Remove it, or set data.columns.tag={len(sentence.fields[token]) - 2}"
        return DataError(f"{path}:{sentence.line(token)}: the {name} is empty: {advice}")


def begin_as_conllu(lines: Iterable[str], name: str = "") -> tuple[bool, Iterator[str]]:
    """Whether lines are CoNLL-U: the name of the file ends in .conllu, or the lines of the first sentence have ten
    tab-separated fields, of which the first is a number.

    Returns:
        The answer, and all the lines.
    """
    lines = iter(lines)
    first: list[str] = []
    for line in lines:
        first.append(line)
        if not line.strip() and any(map(str.strip, first)):
            break
    words = [line.split("\t") for line in first if line.strip() and not line.startswith("#")]
    counted = all(len(fields) == len(CONLLU_COLUMNS) and _ID.fullmatch(fields[0]) for fields in words)
    return name.endswith(".conllu") or (bool(words) and counted), chain(first, lines)


def read_conll(
    path: str, columns: Mapping[str, Column], encoding: str = "utf-8"
) -> tuple[Conll, list[TaggedSentence], str | None]:
    """Read a file; columns: as of `token_and_tag`.

    Returns:
        Its format, its tagged sentences, and what was taken for token and tag where the user gave no columns.
    """
    lines = read_lines(path, encoding)
    conllu, _ = begin_as_conllu(lines, unpacked_name(path))
    conll = Conll(*token_and_tag(columns), conllu, None if conllu else _separator(lines))
    return conll, conll.tagged(path, lines), conll.statement(lines)


def _separator(lines: list[str]) -> str | None:
    """A comma or semicolon, where it alone separates the same number of fields in each line; None: tabs or spaces."""
    filled = [line for line in lines if line.strip()]
    if any("\t" in line or " " in line.strip() for line in filled):
        return None
    for separator in ",;":
        counts = {line.count(separator) for line in filled}
        if len(counts) == 1 and counts != {0}:
            return separator
    return None


def _number_of(column: Column) -> int:
    if isinstance(column, int):
        return column
    if column not in CONLLU_COLUMNS:
        raise DataError(f"CoNLL-U has no column {column!r}{closest(str(column), CONLLU_COLUMNS)}")
    return CONLLU_COLUMNS.index(str(column))


def _by_separator(line: str, separator: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in re.finditer(separator, line)]
    return list(zip([0, *(end + 1 for end in ends)], [*ends, len(line)], strict=True))


def _by_spaces(line: str) -> list[tuple[int, int]]:
    return [match.span() for match in _SPACED.finditer(line)]
