"""How labelled texts are split: by class, by group or by time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.contracts.errors import DataError, located
from seqzoo.data.examples import ClassificationData, Example
from seqzoo.data.files.held_out import HeldOut, Key, label_of
from seqzoo.data.splits import held_out_keys

DAY_FIRST = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b.*")
"""Dates whose alphabetic order is not that of time."""


@dataclass(eq=False, kw_only=True)
class LabelledTexts(HeldOut, ClassificationData):
    """Labelled texts, whose validation and test splits are held out where they are not given.

    Args:
        split: which texts are held out: random; or stratified, about the same share of each class.
        groups: a column, such as an author; all examples of a group are in the same split. None: equal texts are.
        order: a column of dates or numbers; the latest examples are the test split, and those before them the
            validation split. None: there is no order.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "split": "order=null and validation=null or test=null",
        "groups": "validation=null or test=null",
        "order": "validation=null or test=null",
    }

    split: Literal["random", "stratified"] = "random"
    groups: str | int | None = None
    order: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order is not None and self.folds is not None:
            raise ValueError(f"order={self.order} tests the last examples, folds={self.folds} all: give one of them")

    def split_columns(self) -> dict[str, str | int]:
        """The columns besides text and label that the splits need, by the names of their options."""
        columns = {"groups": self.groups, "order": self.order}
        return {option: column for option, column in columns.items() if column is not None}

    def keys(self, examples: Sequence[Example]) -> list[Key]:
        if self.groups is None:
            return super().keys(examples)
        for example in examples:
            if not example.group:
                raise DataError(f"{example.where}: the group (data.groups={self.groups}) is empty: fill it in")
        return [(example.group,) for example in examples]

    def splits_of(self, examples: Sequence[Example], fractions: Mapping[str, float]) -> dict[Key, str]:
        keys = self.keys(examples)
        if self.order is not None:
            return self._latest(examples, keys, fractions)
        labels = label_of(examples, keys) if self.split == "stratified" else None
        return held_out_keys(keys, fractions, labels)

    def _latest(
        self, examples: Sequence[Example], keys: Sequence[Key], fractions: Mapping[str, float]
    ) -> dict[Key, str]:
        """The splits of the latest keys. The time of a key is that of its last example."""
        times: dict[Key, tuple[float, str]] = {}
        for example, key in zip(examples, keys, strict=True):
            with located(example.where):
                time = time_of(example.time, f"data.order={self.order}")
            times[key] = max(times.get(key, time), time)
        if len({not text for _, text in times.values()}) > 1:
            raise DataError(f"the column data.order={self.order} has both numbers and dates: write all of them alike")
        split_of = held_out_keys(keys, fractions, times=times)
        written = {times[key]: example.time for example, key in zip(examples, keys, strict=True)}
        for split in fractions:
            held_out = [times[key] for key in split_of if split_of[key] == split]
            if held_out:
                self.remarks = [*self.remarks, f"{split}: from {written[min(held_out)]} by {self.order!r} on"]
        return split_of


def time_of(text: str, option: str) -> tuple[float, str]:
    """A number, or a date whose alphabetic order is that of time, as a sort key.

    Raises:
        DataError: it is empty, or a date that begins with the day or month.
    """
    try:
        return (float(text), "")
    except ValueError:
        if text and not DAY_FIRST.fullmatch(text):
            return (0.0, text)
    raise DataError(f"{text!r} cannot be put in order ({option}): write dates as 2021-03-14, or numbers")
