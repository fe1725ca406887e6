"""CoNLL in, CoNLL out: tags are written into lines that otherwise stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from seqzoo.data.reading import CONLLU_COLUMNS, column_of, conll_fields, is_conllu
from seqzoo.errors import DataError


@dataclass
class Lines:
    """A sentence: its lines, with comments, ranges, empty nodes and the blank line behind it, and its tokens.

    places: the lines of the tokens.
    """

    lines: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


def token_and_tag(columns: Mapping[str, str | int | None]) -> list[str | int]:
    """`data.columns` -> the columns of token and tag: numbers from 0 (-1 is the last), or names of CoNLL-U (form,
    lemma, upos, xpos, ...). Without a token's, it is `form` beside a tag with a name, else the first.
    """
    for name in columns:
        if name not in ("token", "tag"):
            raise ValueError(f"columns has no {name!r}: it names those of token and tag")
    token, tag = columns.get("token"), columns.get("tag")
    tag = -1 if tag is None else tag
    if token is None:
        token = "form" if isinstance(tag, str) else 0
    return [token, tag]


class Conll:
    """Where tokens and tags are in the files that a model was trained on, as `token_and_tag` says.

    Raises DataError for a column that CoNLL-U does not have.
    """

    def __init__(self, token_column: str | int, tag_column: str | int):
        columns = [token_column, tag_column]
        self.conllu = is_conllu(columns)
        self.token, self.tag = (column_of("CoNLL-U", list(CONLLU_COLUMNS), column) for column in columns)

    def read(self, lines: Iterable[str]) -> Iterator[Lines]:
        """Sentences; together they hold every line. Raises DataError with the line that holds no token."""
        sentence = Lines()
        for number, line in enumerate(lines, start=1):
            fields = conll_fields(line, self.conllu) if line.strip() else None
            if fields is not None:
                if not -len(fields) <= self.token < len(fields):
                    raise DataError(f"Line {number}: {len(fields)} columns, and none for the token: mend the line.")
                sentence.places.append(len(sentence.lines))
                sentence.tokens.append(fields[self.token].strip())
            sentence.lines.append(line)
            if not line.strip():
                yield sentence
                sentence = Lines()
        if sentence.lines:
            yield sentence

    def write(self, sentence: Lines, tags: list[str]) -> list[str]:
        """The lines with these tags, in the place of those that were there or in a column more."""
        lines = list(sentence.lines)
        for place, tag in zip(sentence.places, tags, strict=True):
            lines[place] = self._tagged(lines[place], tag)
        return lines

    def _tagged(self, line: str, tag: str) -> str:
        fields = list(re.finditer(r"[^\t]+" if "\t" in line else r"\S+", line))
        count = len(fields)
        place = self.tag if self.tag >= 0 else count + self.tag
        if place == count or (self.tag < 0 and place == self.token % count):
            return line + (" " if count > 1 and "\t" not in line else "\t") + tag
        if not 0 <= place < count:
            raise DataError(f"{line!r} has {count} columns, and none for the tag: mend the line.")
        return f"{line[: fields[place].start()]}{tag}{line[fields[place].end() :]}"
