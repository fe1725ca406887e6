"""The bases of data sets that are read from files: locations, encoding, one file per split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from seqzoo.data.checks import check_fractions
from seqzoo.data.examples import Example
from seqzoo.data.files.held_out import HeldOut
from seqzoo.data.sources.dialects import find_dialect
from seqzoo.data.sources.encodings import AUTO, encoding_statement, find_encoding
from seqzoo.data.sources.locations import LocatedData
from seqzoo.data.sources.reading import Row, read_text
from seqzoo.data.sources.tables import dialect_by_name, read_table
from seqzoo.data.splits import SPLITS

LISTED = 3
"""Files that a remark lists."""


@dataclass(eq=False, kw_only=True)
class Files(LocatedData):
    """A data set of text files. What is detected in them, such as an encoding, becomes a remark.

    Args:
        encoding: of the files; auto: detected, see `seqzoo.data.sources.encodings.find_encoding`.
    """

    encoding: str = AUTO

    def __post_init__(self) -> None:
        self._detected: dict[str, list[str]] = {}
        super().__post_init__()

    def encoding_of(self, path: str) -> str:
        """The encoding of a file."""
        if self.encoding != AUTO:
            return self.encoding
        encoding = find_encoding(path)
        self.state(path, encoding_statement(encoding))
        return encoding

    def table(self, path: str, columns: Sequence[str | int], options: Sequence[str], lists: bool = False) -> list[Row]:
        """Columns of a table, see `read_table`. Its dialect is detected."""
        encoding = self.encoding_of(path)
        by_name = dialect_by_name(path)
        dialect = find_dialect(path, read_text(path, encoding)) or by_name
        if dialect != by_name:
            self.state(path, str(dialect))
        return read_table(path, columns, encoding, lists, options, dialect)

    def state(self, path: str, statement: str | None) -> None:
        """Remember what was detected in a file; files of the same statement share a remark."""
        if statement is not None and path not in (paths := self._detected.setdefault(statement, [])):
            paths.append(path)

    def statements(self) -> list[str]:
        """What was detected in the files that were read, one remark for each statement."""
        listed = {
            statement: [*(Path(path).name for path in paths[:LISTED]), *["..."] * (len(paths) > LISTED)]
            for statement, paths in self._detected.items()
        }
        return [f"{', '.join(names)}: {statement}" for statement, names in listed.items()]


@dataclass(eq=False, kw_only=True)
class GivenSplits(LocatedData):
    """A data set with a file for each split. A split that is not given is held out.

    Args:
        train: the file of the training split.
        validation: the file of the validation split; None: it is held out of the training split.
        test: the file of the test split; None: it is held out of the training split, or there is none.
        validation_fraction, test_fraction: fractions of the training split that are held out.
    """

    acts_with: ClassVar[dict[str, str]] = {"validation_fraction": "validation=null", "test_fraction": "test=null"}

    train: str
    validation: str | None = None
    test: str | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self)

    def given(self) -> dict[str, str]:
        """The names of the splits that are given, and of their files."""
        names = {split: getattr(self, split) for split in SPLITS}
        return {split: name for split, name in names.items() if name is not None}


@dataclass(eq=False, kw_only=True)
class ExampleFiles(Files, HeldOut):
    """Each split has files of its own, or is held out."""

    def read(self) -> dict[str, list[Example]]:
        self._detected = {}
        splits = super().read()
        self.remarks = [*self.statements(), *self.remarks]
        return splits


@dataclass(eq=False, kw_only=True)
class SplitFiles(GivenSplits, ExampleFiles):
    """Each split has one file, or is held out."""

    @abstractmethod
    def read_file(self, name: str) -> list[Example]:
        """Read the examples of a file, by its name in the options."""

    def read_split(self, split: str) -> list[Example] | None:
        name = self.given().get(split)
        return None if name is None else self.read_file(name)
