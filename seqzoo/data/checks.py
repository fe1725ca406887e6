"""Checks of options, and of what `read` returns, that several data sets share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.own_parts import wrong_result
from seqzoo.data.splits import SPLITS

LENGTHS = ("steps", "longest", "length", "held_out_length", "test_length")
MOST_EXAMPLES, LONGEST_EXAMPLE = 10**8, 10**6


def check_at_least_one(data: object, *names: str) -> None:
    """Check that options are null or at least 1.

    Raises:
        ValueError: one of them is below 1.
    """
    for name in names:
        value = getattr(data, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} is too small: it must be at least 1")


def check_sizes(data: object) -> None:
    """Check the number and the length of the examples of a generated data set.

    Raises:
        ValueError: there would be no examples, or more or longer ones than fit into memory.
    """
    split_sizes = tuple(f"{split}_size" for split in SPLITS)
    for names, most in ((split_sizes, MOST_EXAMPLES), (LENGTHS, LONGEST_EXAMPLE)):
        for name in names:
            value = getattr(data, name, None)
            if isinstance(value, int) and not 1 <= value <= most:
                raise ValueError(f"{name}={value} must be between 1 and {most:,}")


def check_fractions(data: object) -> None:
    """Check the shares of the training split that are held out.

    Raises:
        ValueError: one of them is not a share, or together they leave nothing for training.
    """
    total = 0.0
    for name in ("validation_fraction", "test_fraction"):
        fraction = getattr(data, name)
        if not 0 <= fraction < 1:
            raise ValueError(f"{name}={fraction} must be at least 0 and below 1")
        total += fraction if getattr(data, name.removesuffix("_fraction"), None) is None else 0
    if total >= 1:
        raise ValueError(f"validation_fraction and test_fraction are {total:g} together: they must be below 1")


def check_splits(data: DataModule, splits: Any, holds: Any, wanted: str) -> None:
    """Check what `read` of a data module, which may be user-defined, has returned.

    Args:
        data: the data module.
        splits: the result.
        holds: the type of each split.
        wanted: what each split must be, as a noun phrase.

    Raises:
        PartError: it is not a dict, or a split is of another type; a single text is not taken for a list of texts.
    """
    if not isinstance(splits, dict):
        raise wrong_result(data, "read", splits, f'a dict such as {{"train": ..., "validation": ...}}, each {wanted}')
    for name, items in splits.items():
        if not isinstance(items, holds) or isinstance(items, str):
            raise wrong_result(data, "read", items, f"{wanted} for each split; this was the one of {name!r}")


def check_items(
    data: DataModule, splits: Mapping[str, Iterable[Any]], sound: Callable[[Any], bool], wanted: str
) -> None:
    """Check the items of the splits that `read` has returned.

    Args:
        data: the data module.
        splits: the result.
        sound: whether an item is what it must be.
        wanted: what each item must be, as a noun phrase.

    Raises:
        PartError: an item is something else.
    """
    for name, items in splits.items():
        for number, item in enumerate(items, start=1):
            if not sound(item):
                place = f"this was number {number:,} of {name!r}"
                raise wrong_result(data, "read", item, f"{wanted} as the items of each split; {place}")


def check_filled(data: DataModule, splits: Mapping[str, Sized], items: str) -> None:
    """Check that the training and the validation split have examples.

    Args:
        data: the data module, whose options the message names.
        splits: the examples of each split.
        items: what they are called.

    Raises:
        DataError: one of these splits is empty or missing.
    """
    for split in SPLITS[:2]:
        if not len(splits.get(split, ())):
            advice = f" with data.{split}" if hasattr(data, split) else ""
            advice += f", or raise data.{split}_fraction" if hasattr(data, f"{split}_fraction") else ""
            raise DataError(f"the {split} split of the data has no {items}: give more{advice}")
