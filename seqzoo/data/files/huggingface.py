"""Labelled texts read by the library `datasets` of Hugging Face, from the Hub or from files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from seqzoo.contracts.errors import DataError, closest, not_installed
from seqzoo.data.examples import Example
from seqzoo.data.files.labelled_texts import LabelledTexts
from seqzoo.data.sources.locations import LocatedData, data_root
from seqzoo.data.sources.tables import json_field
from seqzoo.data.text.codec import check_tokenizer

KINDS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
"""The reader of `datasets` for each suffix."""


@dataclass(eq=False, kw_only=True)
class HuggingFace(LocatedData, LabelledTexts):
    """Labelled texts read by `datasets`.

    Args:
        name: of a data set of the Hub, or a file or folder of CSV, JSON or Parquet.
        subset: of a data set that has several.
        train, validation, test: the name of this split in the data set; None: the split of the same name, if there is
            one with labels.
        text_column, label_column: names of the columns.
        tokenizer: of the texts.
    """

    name: str
    subset: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    tokenizer: str = "basic_english"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tokenizer(self.tokenizer, self.vocabulary_size)

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read(self) -> dict[str, list[Example]]:
        self._splits = self._load()
        return super().read()

    def read_split(self, split: str) -> list[Example] | None:
        option = getattr(self, split)
        name = option or split
        if name not in self._splits:
            if option is None and split != "train":
                return None
            raise DataError(f"{self.name} has no split {name!r}{closest(name, self._splits)}")
        table = self._splits[name]
        columns = {"text_column": self.text_column, "label_column": self.label_column}
        others = self.split_columns() if split == "train" else {}
        for name_of_option, column in {**columns, **others}.items():
            if column not in table.column_names:
                advice = closest(str(column), table.column_names)
                raise DataError(f"{self.name} has no column {column!r} (data.{name_of_option}){advice}")
        names = getattr(table.features[self.label_column], "names", None)
        labels = list(table[self.label_column])
        # some test splits are published without labels
        if option is None and split != "train" and all(label in (None, -1) for label in labels):
            return None
        places = [f"{self.name}, {name} {number}" for number in range(1, len(labels) + 1)]
        examples = [
            self._example(text, label, names, where)
            for text, label, where in zip(table[self.text_column], labels, places, strict=True)
        ]
        if self.groups is not None and others:
            examples = [
                e._replace(group=v) for e, v in zip(examples, self._texts(table, places, self.groups), strict=True)
            ]
        if self.order is not None and others:
            examples = [
                e._replace(time=v) for e, v in zip(examples, self._texts(table, places, self.order), strict=True)
            ]
        return examples

    @staticmethod
    def _texts(table: Any, places: list[str], column: str | int) -> list[str]:
        """The values of a column as text, dates in the order year, month, day."""
        return [
            value.isoformat() if isinstance(value, date) else json_field(value, where, str(column))
            for value, where in zip(table[column], places, strict=True)
        ]

    def _example(self, text: Any, label: Any, names: list[str] | None, where: str) -> Example:
        source = json_field(text, where, self.text_column)
        if names is None:
            return Example(source, json_field(label, where, self.label_column), where)
        # the name of the class; empty where there is no label
        return Example(source, "" if label is None or label < 0 else names[label], where)

    def _load(self) -> Any:
        """The tables of all splits by their names."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the library
            try:
                import datasets
            except ImportError:
                raise DataError(f"data=huggingface needs {not_installed('datasets')}") from None
            datasets.disable_progress_bars()
            return self._loaded_by(datasets)

    def _loaded_by(self, datasets: Any) -> Any:
        try:
            saved = [self.places[self.name]] if self.name in self.places else []
            for place in (*map(Path, saved), Path(self.name).expanduser(), data_root(self.root) / self.name):
                if place.is_file():
                    self.note(self.name, str(place), [str(place)])
                    if place.suffix not in KINDS:
                        raise DataError(f"{place} is not one of {', '.join(KINDS)}: convert it, or give its folder")
                    return datasets.load_dataset(KINDS[place.suffix], data_files=str(place))
                if place.is_dir():
                    self.note(self.name, str(place), (str(path) for path in place.rglob("*") if path.is_file()))
                    return datasets.load_dataset(str(place), self.subset)
            return datasets.load_dataset(self.name, self.subset)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"{self.name} cannot be loaded by the library datasets: {error}") from error
