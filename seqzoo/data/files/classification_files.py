"""Labelled texts from tables or text files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.data.examples import ClassificationData, Example
from seqzoo.data.files.base import SplitFiles
from seqzoo.data.sources.reading import Row, read_labelled_lines, read_target_lines, read_with_label
from seqzoo.data.sources.tables import read_table
from seqzoo.data.text.codec import check_tokenizer


@dataclass(eq=False, kw_only=True)
class ClassificationFiles(SplitFiles, ClassificationData):
    """Labelled texts from files.

    Args:
        format: table: .csv, .jsonl, or else tab-separated. label_first: lines of "LABEL text". label_in_name: one text
            per line; the label is what the star in the name of the file, such as "names/*.txt", stands for.
            target_lines: three lines per example, the text with $T$, the target and the label; needs `marked`.
        marked: whether each text marks the target that its label refers to, see `seqzoo.data.sources.marked_text`.
        text_column, label_column: names in the header of a table, or zero-based indices where it has no header.
        label_until: keep only the part of a label before this text, such as DESC of "DESC:manner" with ":".
        tokenizer: of the texts.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "validation_fraction": "validation=null",
        "test_fraction": "test=null",
        "text_column": "format=table",
        "label_column": "format=table",
    }

    format: Literal["table", "label_first", "label_in_name", "target_lines"] = "table"
    marked: bool = False
    text_column: str | int = "text"
    label_column: str | int = "label"
    label_until: str | None = None
    tokenizer: str = "basic_english"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tokenizer(self.tokenizer, self.vocabulary_size)
        if self.format == "target_lines" and not self.marked:
            raise ValueError("format=target_lines has a target in each text: set marked=true")

    def marks_targets(self) -> bool:
        return self.marked

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read_file(self, name: str) -> list[Example]:
        if self.format == "label_in_name":
            files = self.matching(name)
            rows = [row for label, path in files.items() for row in read_with_label(path, label, self.encoding)]
        else:
            rows = self._rows(self.path(name))
        return [self._example(row) for row in rows]

    def _rows(self, path: str) -> list[Row]:
        if self.format == "label_first":
            return read_labelled_lines(path, self.encoding)
        if self.format == "target_lines":
            return read_target_lines(path, self.encoding)
        columns = [self.label_column, self.text_column]
        return read_table(path, columns, self.encoding, options=("label_column", "text_column"))

    def _example(self, row: Row) -> Example:
        label, text = row.fields
        if self.label_until:
            label = label.split(self.label_until)[0]
        return Example(text, label, row.where)
