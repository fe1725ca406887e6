"""What all data sets read from files share: where the files are, how they are written, and what is held out."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from seqzoo.contracts.errors import DataError
from seqzoo.data.examples import Example
from seqzoo.data.generated.generating import GENERATION_SEED
from seqzoo.data.sources.locations import LocatedData
from seqzoo.data.sources.source import Source
from seqzoo.data.words import WordData

Key = tuple[str, ...]
"""What tells a source from others: its text, or its tokens."""


@dataclass(eq=False, kw_only=True)
class Files(LocatedData):
    encoding: str = "utf-8"
    source: dict | None = None

    def __post_init__(self) -> None:
        if self.source is not None:
            Source.from_plain(self.source)
        # Beside ExampleData or RunningText, which check their own options.
        getattr(super(), "__post_init__", lambda: None)()


@dataclass(eq=False, kw_only=True)
class HeldOut(WordData):
    """A validation or test split that is not given is held out of the training split.

    Held out are distinct sources: a text that occurs twice lands on one side. All runs hold out the same ones.
    folds, fold: cross-validation; the training split falls into so many parts, and part `fold` (from 0) is the test
    split. Each class has the same share of every part.
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
            raise ValueError(f"folds={self.folds} is too small: cross-validation needs at least 2 parts")
        if self.folds is None and self.fold:
            raise ValueError(f"fold={self.fold} chooses a part, but folds is null: say how many there are")
        if self.folds is not None and not 0 <= self.fold < self.folds:
            raise ValueError(f"fold={self.fold} must be at least 0 and below folds={self.folds}")
        if self.folds is not None and self.test_fraction:
            raise ValueError(
                f"folds={self.folds} and test_fraction={self.test_fraction} both cut a test split: give one"
            )

    @abstractmethod
    def read_split(self, split: str) -> list[Example] | None:
        """The examples of a split, None where it is not given."""

    def keys(self, examples: list[Example]) -> list[Key]:
        """Examples with equal ones land on one side."""
        return [_key(example) for example in examples]

    def read(self) -> dict[str, list[Example]]:
        splits = {split: self.read_split(split) for split in ("train", "validation", "test")}
        if self.folds is not None:
            if splits["test"] is not None:
                raise DataError(f"data.folds={self.folds} cuts a test split, but there is one: leave one of them out.")
            splits |= take_fold(splits["train"] or [], self.folds, self.fold, self.kind == "classification")
        fractions = {"validation": self.validation_fraction, "test": self.test_fraction}
        missing = {split: fractions[split] for split in fractions if splits[split] is None and fractions[split]}
        train = splits["train"] or []
        held_out = hold_out(train, missing, self.keys(train))
        return {split: examples for split, examples in {**splits, **held_out}.items() if examples}


@dataclass(eq=False, kw_only=True)
class ExampleFiles(Files, HeldOut):
    """Each split has a file of its own, or is held out."""


def hold_out(examples: list[Example], fractions: dict[str, float], keys: list[Key]) -> dict[str, list[Example]]:
    """ "train" and the wanted splits, each with this share of the distinct keys, of which each example has one."""
    shuffled = _shuffled(keys)
    owner: dict[Key, str] = {}
    start = 0
    for split, fraction in fractions.items():
        count = round(fraction * len(shuffled))
        owner.update(dict.fromkeys(shuffled[start : start + count], split))
        start += count
    parts: dict[str, list[Example]] = {"train": [], **{split: [] for split in fractions}}
    for example, key in zip(examples, keys, strict=True):
        parts[owner.get(key, "train")].append(example)
    return parts


def take_fold(examples: list[Example], folds: int, fold: int, stratified: bool) -> dict[str, list[Example]]:
    """ "test", which is one of so many parts with equally many distinct sources, and "train", the others.

    stratified: targets are labels, and the sources of each label are shared out evenly.
    """
    keys = _shuffled(map(_key, examples))
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


def _shuffled(keys: Iterable[Key]) -> list[Key]:
    """The distinct keys, always in the same random order."""
    distinct = sorted(set(keys))
    random.Random(GENERATION_SEED).shuffle(distinct)
    return distinct
