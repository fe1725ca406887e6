"""Splits that are held out of the training examples, and cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seqzoo.contracts.errors import DataError
from seqzoo.data.checks import check_fractions
from seqzoo.data.examples import Example
from seqzoo.data.splits import SPLITS, held_out_keys, missing_fractions, parted, shuffled
from seqzoo.data.words import WordData

Key = tuple[str, ...]
"""What examples that belong to the same split have in common: their text, tokens or group."""


@dataclass(eq=False, kw_only=True)
class HeldOut(WordData):
    """Data sets that hold out the validation or test split where none is given.

    Distinct sources are held out, so that equal texts are in the same split. The held-out examples are the same in all
    runs.

    Args:
        validation_fraction: fraction of the training examples that is held out for validation.
        test_fraction: fraction of the training examples that is held out for the test.
        folds: number of folds for cross-validation, stratified by class; leave_one_out: as many as there are distinct
            sources. None: no cross-validation.
        fold: the fold that is the test split, from 0.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    folds: int | Literal["leave_one_out"] | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self)
        if self.folds is None:
            if self.fold:
                raise ValueError(f"fold={self.fold} chooses a fold, but folds is null: give their number")
            return
        if isinstance(self.folds, int) and self.folds < 2:
            raise ValueError(f"folds={self.folds} is too small: cross-validation needs at least 2 folds")
        if self.fold < 0 or (isinstance(self.folds, int) and self.fold >= self.folds):
            raise ValueError(f"fold={self.fold} must be at least 0 and below folds={self.folds}")
        if self.test_fraction:
            raise ValueError(
                f"folds={self.folds} and test_fraction={self.test_fraction} both define a test split: give one of them"
            )

    @abstractmethod
    def read_split(self, split: str) -> list[Example] | None:
        """Read the examples of a split; None where it is not given."""

    def keys(self, examples: Sequence[Example]) -> list[Key]:
        """A key of each example. Examples of equal keys are in the same split."""
        return [(example.source,) if isinstance(example.source, str) else tuple(example.source) for example in examples]

    def splits_of(self, examples: Sequence[Example], fractions: Mapping[str, float]) -> dict[Key, str]:
        """The split of each key that is held out; fractions: of the splits."""
        return held_out_keys(self.keys(examples), fractions)

    def read(self) -> dict[str, list[Example]]:
        self.remarks = []
        splits = {split: self.read_split(split) for split in SPLITS}
        if self.folds is not None:
            if splits["test"] is not None:
                raise DataError(
                    f"data.folds={self.folds} defines a test split, but there already is one: leave one of them out"
                )
            whole = splits["train"] or []
            splits |= parted(whole, self.keys(whole), dict.fromkeys(self._tested_fold(whole), "test"), ["test"])
        missing = missing_fractions(self, [split for split, examples in splits.items() if examples is not None])
        train = splits["train"] or []
        held_out = parted(train, self.keys(train), self.splits_of(train, missing), missing)
        return {split: examples for split, examples in {**splits, **held_out}.items() if examples}

    def _tested_fold(self, examples: Sequence[Example]) -> list[Key]:
        """The keys of the fold that is the test split."""
        keys = self.keys(examples)
        distinct = len(set(keys))
        folds = self.folds if isinstance(self.folds, int) else distinct
        if folds > distinct:
            raise DataError(f"data.folds={folds} is more than the {distinct:,} examples or groups that differ")
        if self.fold >= folds:
            raise DataError(f"data.fold={self.fold} is out of range: there are {folds:,} folds, counted from 0")
        return fold_keys(keys, folds, self.fold, label_of(examples, keys) if self.kind == "classification" else None)


def fold_keys(keys: Sequence[Key], folds: int, fold: int, labels: Mapping[Key, str] | None) -> list[Key]:
    """The distinct keys of one fold of a cross-validation.

    Args:
        keys: of the examples.
        folds: their number; each has about the same number of distinct keys.
        fold: counted from 0.
        labels: of the keys, of which each fold gets the same share; None: keys are drawn at random.
    """
    distinct = shuffled(sorted(set(keys)))
    if labels is not None:
        distinct.sort(key=labels.__getitem__)
    return distinct[fold::folds]


def label_of(examples: Sequence[Example], keys: Sequence[Key]) -> dict[Key, str]:
    """The most frequent label of the examples of each key; of equally frequent ones the last."""
    counts: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    for example, key in zip(reversed(examples), reversed(keys), strict=True):
        counts[key][str(example.target)] += 1
    return {key: count.most_common(1)[0][0] for key, count in counts.items()}
