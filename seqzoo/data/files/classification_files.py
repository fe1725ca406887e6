"""Labelled texts from tables or text files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError
from seqzoo.data.examples import Example
from seqzoo.data.files.base import LISTED, SplitFiles
from seqzoo.data.files.labelled_texts import LabelledTexts
from seqzoo.data.sources.reading import (
    Row,
    read_document,
    read_labelled_lines,
    read_target_lines,
    read_with_label,
)
from seqzoo.data.sources.text_forms import Form, find_form
from seqzoo.data.text.codec import check_tokenizer


@dataclass(eq=False, kw_only=True)
class ClassificationFiles(SplitFiles, LabelledTexts):
    """Labelled texts from files.

    Args:
        format: auto: detected, see `seqzoo.data.sources.text_forms.find_form`. table: JSON, or columns between
            separators. label_first: lines of "LABEL text". label_in_name: one text per line; the label is what the star
            in the name of the file, such as "names/*.txt", stands for. class_folders: one text per file; the label is
            the first star of "reviews/*/*.txt". target_lines: three lines per example, the text with $T$, the target
            and the label; needs `marked`.
        marked: whether each text marks the target that its label refers to, see `seqzoo.data.sources.marked_text`.
        text_column, label_column: names in the header of a table, or zero-based indices; None: detected.
        label_until: keep only the part of a label before this text, such as DESC of "DESC:manner" with ":".
        tokenizer: of the texts.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "text_column": "format=auto,table",
        "label_column": "format=auto,table",
        "groups": "format=auto,table and validation=null or test=null",
        "order": "format=auto,table and validation=null or test=null",
    }

    format: Literal["auto", "table", "label_first", "label_in_name", "class_folders", "target_lines"] = "auto"
    marked: bool = False
    text_column: str | int | None = None
    label_column: str | int | None = None
    label_until: str | None = None
    tokenizer: str = "basic_english"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._form: Form | None = None
        check_tokenizer(self.tokenizer, self.vocabulary_size)
        if self.format == "target_lines" and not self.marked:
            raise ValueError("format=target_lines has a target in each text: set marked=true")

    def marks_targets(self) -> bool:
        return self.marked

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read(self) -> dict[str, list[Example]]:
        self._form = None
        return super().read()

    def read_file(self, name: str) -> list[Example]:
        several = self.format in ("label_in_name", "class_folders")
        if several or (self.format == "auto" and self.is_pattern(name)):
            rows = self._rows_of_files(name)
        else:
            path = self.path(name)
            columns = self.split_columns() if name == self.train else {}
            rows = self._rows(path, self.encoding_of(path), columns)
        return [self._example(row) for row in rows]

    def _rows_of_files(self, name: str) -> list[Row]:
        """The rows of files whose labels are in their names, or in those of their folders."""
        files = self.matching(name)
        folders = self.files[name].path.count("*") == 2
        if self.format != "auto" and folders != (self.format == "class_folders"):
            needed = "two stars, as in reviews/*/*.txt" if not folders else "one star, as in names/*.txt"
            raise DataError(f"{name} has no place for the label: data.format={self.format} needs {needed}")
        if self.format == "auto":
            form = (
                "one text per file, labels are names of folders"
                if folders
                else "one text per line, labels are names of files"
            )
            listed = ", ".join([*list(files)[:LISTED], *["..."] * (len(files) > LISTED)])
            self.state(name, f"{form}: {listed} ({counted(len(files), 'class', 'classes')})")
        rows = []
        for label, paths in files.items():
            for path in paths:
                encoding = self.encoding_of(path)
                rows += [read_document(path, label, encoding)] if folders else read_with_label(path, label, encoding)
        return rows

    def _rows(self, path: str, encoding: str, others: Mapping[str, str | int]) -> list[Row]:
        """The rows of a file, with label, text and other columns, by the names of their options."""
        if self.format == "label_first":
            return read_labelled_lines(path, encoding)
        if self.format == "target_lines":
            return read_target_lines(path, encoding)
        label, text = self.label_column, self.text_column
        if self.format == "table" and label is not None and text is not None:
            return self.table(path, [label, text, *others.values()], ["label_column", "text_column", *others])
        # all splits are written alike, and the training split has the most examples to detect it from
        if self._form is None or not self._form.fits(path, encoding):
            form = find_form(path, encoding, label, text, only_table=self.format == "table", others=others)
            if form.format == "target_lines" and not self.marked:
                raise DataError(f"{path} has a target in each text ($T$): set data.marked=true")
            self._form = self._form or form
        else:
            form = self._form
        self.state(path, form.statement)
        return form.read(path, encoding, others)

    def _example(self, row: Row) -> Example:
        label, text, *others = row.fields
        if self.label_until:
            label = label.split(self.label_until)[0]
        columns = dict(zip(self.split_columns(), others, strict=False))  # other splits do not have them
        return Example(text, label, row.where, columns.get("groups", ""), columns.get("order", ""))
