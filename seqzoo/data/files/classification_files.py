"""Texts with a label each, from tables or from lines that start with the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.data.examples import ClassificationData, Example
from seqzoo.data.files.base import ExampleFiles
from seqzoo.data.sources.reading import Row, read_labelled_lines, read_target_lines, read_with_label
from seqzoo.data.sources.tables import read_table
from seqzoo.data.text.codec import check_tokenizer


@dataclass(eq=False, kw_only=True)
class ClassificationFiles(ExampleFiles, ClassificationData):
    """format: "table" (.csv, .jsonl, else tab separated), "label_first" ("LABEL text", one a line), "label_in_name" (a
    text a line, and the label is what the star of "names/*.txt" stands for), or "target_lines" (text with $T$, target,
    label: three lines an example), which marks the target and so needs `marked`.

    text_column, label_column: names in the header, or numbers from 0 where there is no header.
    marked: whether each text marks the target that its label is about, as `seqzoo.data.sources.marked_text` reads it.
    label_until: of "DESC:manner" keep what stands before this mark.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "validation_fraction": "validation=null",
        "test_fraction": "test=null",
        "text_column": "format=table",
        "label_column": "format=table",
    }

    train: str
    validation: str | None = None
    test: str | None = None
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

    def read_split(self, split: str) -> list[Example] | None:
        name = getattr(self, split)
        if name is None:
            return None
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
        return read_table(path, [self.label_column, self.text_column], self.encoding)

    def _example(self, row: Row) -> Example:
        label, text = row.fields
        if self.label_until:
            label = label.split(self.label_until)[0]
        return Example(text, label, row.where)
