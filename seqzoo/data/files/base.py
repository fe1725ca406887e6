"""The bases of data sets that are read from files: locations, encoding, held-out splits, cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqzoo.contracts.errors import DataError
from seqzoo.data.examples import Example
from seqzoo.data.sources.detection import AUTO, encoding_statement, find_dialect, find_encoding
from seqzoo.data.sources.locations import LocatedData
from seqzoo.data.sources.reading import Row, read_text
from seqzoo.data.sources.source import Source
from seqzoo.data.sources.tables import dialect_by_name, read_table
from seqzoo.data.splits import SPLITS, held_out_keys, shuffled
from seqzoo.data.words import WordData

Key = tuple[str, ...]
"""The identity of a source: its text, or its tokens."""

LISTED = 3
"""Files that a remark lists."""


@dataclass(eq=False, kw_only=True)
class Files(LocatedData):
    """A data set of text files. What is detected in them, such as an encoding, becomes a remark.

    Args:
        encoding: of the files; auto: detected, see `seqzoo.data.sources.detection.find_encoding`.
        source: where the files can be downloaded, as of `seqzoo.data.sources.source.Source`.
    """

    encoding: str = AUTO
    source: dict | None = None

    def __post_init__(self) -> None:
        self._detected: dict[str, list[str]] = {}
        if self.source is not None:
            Source.from_plain(self.source)
        # the other base class, ExampleData or RunningText, checks its own options
        getattr(super(), "__post_init__", lambda: None)()

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
class HeldOut(WordData):
    """Data sets that hold out the validation or test split where none is given.

    Distinct sources are held out, so that equal texts are in the same split. The held-out examples are the same in all
    runs.

    Args:
        validation_fraction: share of the training examples that is held out for validation.
        test_fraction: share of the training examples that is held out for the test.
        folds: number of folds for cross-validation; the folds are stratified by class. None: no cross-validation.
        fold: the fold that is the test split, from 0.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    folds: int | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds={self.folds} is too small: cross-validation needs at least 2 folds")
        if self.folds is None and self.fold:
            raise ValueError(f"fold={self.fold} chooses a fold, but folds is null: give their number")
        if self.folds is not None and not 0 <= self.fold < self.folds:
            raise ValueError(f"fold={self.fold} must be at least 0 and below folds={self.folds}")
        if self.folds is not None and self.test_fraction:
            raise ValueError(
                f"folds={self.folds} and test_fraction={self.test_fraction} both define a test split: give one of them"
            )

    @abstractmethod
    def read_split(self, split: str) -> list[Example] | None:
        """Read the examples of a split; None where it is not given."""

    def keys(self, examples: list[Example]) -> list[Key]:
        """A key of each example. Examples of equal keys are in the same split."""
        return [_key(example) for example in examples]

    def read(self) -> dict[str, list[Example]]:
        splits = {split: self.read_split(split) for split in SPLITS}
        if self.folds is not None:
            if splits["test"] is not None:
                raise DataError(
                    f"data.folds={self.folds} defines a test split, but there already is one: leave one of them out"
                )
            splits |= take_fold(splits["train"] or [], self.folds, self.fold, self.kind == "classification")
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        missing = {split: fractions[split] for split in fractions if splits[split] is None and fractions[split]}
        train = splits["train"] or []
        held_out = hold_out(train, missing, self.keys(train))
        return {split: examples for split, examples in {**splits, **held_out}.items() if examples}


@dataclass(eq=False, kw_only=True)
class ExampleFiles(Files, HeldOut):
    """Each split has files of its own, or is held out."""

    def read(self) -> dict[str, list[Example]]:
        self._detected = {}
        splits = super().read()
        self.remarks = self.statements()
        return splits


@dataclass(eq=False, kw_only=True)
class SplitFiles(ExampleFiles):
    """Each split has one file, or is held out.

    Args:
        train: the file of the training split.
        validation: the file of the validation split; None: it is held out of the training split.
        test: the file of the test split; None: it is held out of the training split, or there is none.
    """

    train: str
    validation: str | None = None
    test: str | None = None

    @abstractmethod
    def read_file(self, name: str) -> list[Example]:
        """Read the examples of a file, by its name in the options."""

    def read_split(self, split: str) -> list[Example] | None:
        name = getattr(self, split)
        return None if name is None else self.read_file(name)


def hold_out(examples: list[Example], fractions: dict[str, float], keys: list[Key]) -> dict[str, list[Example]]:
    """Hold out a fraction of the distinct keys for each split.

    Args:
        examples: of the training split.
        fractions: of the splits to hold out.
        keys: of the examples.

    Returns:
        The held-out splits, and "train" with the other examples.
    """
    split_of = held_out_keys(keys, fractions)
    parts: dict[str, list[Example]] = {"train": [], **{split: [] for split in fractions}}
    for example, key in zip(examples, keys, strict=True):
        parts[split_of.get(key, "train")].append(example)
    return parts


def take_fold(examples: list[Example], folds: int, fold: int, stratified: bool) -> dict[str, list[Example]]:
    """Split examples for cross-validation.

    Args:
        examples: of all folds.
        folds: their number; each has equally many distinct sources.
        fold: the fold that is the test split, from 0.
        stratified: the targets are labels, of which each fold gets the same share.

    Returns:
        The splits "train" and "test".
    """
    keys = shuffled(sorted(set(map(_key, examples))))
    if stratified:
        labels = {_key(example): str(example.target) for example in examples}
        keys.sort(key=labels.__getitem__)
    chosen = set(keys[fold::folds])
    parts: dict[str, list[Example]] = {"train": [], "test": []}
    for example in examples:
        parts["test" if _key(example) in chosen else "train"].append(example)
    return parts


def _key(example: Example) -> Key:
    return (example.source,) if isinstance(example.source, str) else tuple(example.source)
