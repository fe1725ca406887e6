"""Splits: their names and sizes, and how examples are held out, which is the same in all runs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from seqzoo.contracts.errors import DataError

T = TypeVar("T")
K = TypeVar("K", bound=Any)

SPLITS = ("train", "validation", "test")

FILES_TO_SCORE = tuple(f"{split}{part}" for split in SPLITS[:0:-1] for part in ("", "_source", "_target"))
"""The options of data sets that name files of examples besides those of training."""

GENERATION_SEED = 20_140_910
"""The seed of generated data and of held-out splits. It is not the seed of a run, so that runs can be compared."""


def split_sizes(data: object) -> dict[str, int]:
    """The options `train_size`, `validation_size` and `test_size` of a data set by the names of the splits."""
    return {split: getattr(data, f"{split}_size") for split in SPLITS}


def shuffled(items: Iterable[T]) -> list[T]:
    """The items in a random order, which is always the same."""
    order = list(items)
    random.Random(GENERATION_SEED).shuffle(order)
    return order


def cut(items: list[T], sizes: Mapping[str, int], rest: str | None = None) -> dict[str, list[T]]:
    """Consecutive parts of a list.

    Args:
        items: cut from the beginning.
        sizes: the number of items of each part.
        rest: the name of the part that gets the remaining items; None drops them.
    """
    parts, start = {}, 0
    for name, size in sizes.items():
        parts[name] = items[start : start + size]
        start += size
    return parts if rest is None else {rest: items[start:], **parts}


def held_out_sizes(fractions: Mapping[str, float], total: int) -> dict[str, int]:
    """The number of items of each held-out split, from its fraction of all items."""
    return {split: round(fraction * total) for split, fraction in fractions.items()}


def held_out_keys(
    keys: Iterable[K],
    fractions: Mapping[str, float],
    labels: Mapping[K, str] | None = None,
    times: Mapping[K, Any] | None = None,
) -> dict[K, str]:
    """Hold out a fraction of the distinct keys for each split.

    Args:
        keys: of the examples.
        fractions: of the splits to hold out.
        labels: of the keys; each split has about the same share of each label. None: keys are drawn at random.
        times: of the keys; the latest ones are held out, those of the last split of `fractions` after the others.

    Returns:
        The split of each key that is held out; the others stay in "train".
    """
    distinct = shuffled(sorted(set(keys)))
    sizes = held_out_sizes(fractions, len(distinct))
    if times is not None:
        distinct.sort(key=times.__getitem__)
        earlier = max(0, len(distinct) - sum(sizes.values()))
        distinct = distinct[earlier:]
    elif labels is not None:
        distinct = interleaved(distinct, labels)
    return {key: split for split, part in cut(distinct, sizes).items() for key in part}


def parted(
    items: Iterable[T], keys: Iterable[K], split_of: Mapping[K, str], splits: Iterable[str]
) -> dict[str, list[T]]:
    """Items by their splits.

    Args:
        items: of all splits.
        keys: of the items.
        split_of: the splits of keys; those of others are "train".
        splits: names of the splits besides "train".
    """
    parts: dict[str, list[T]] = {"train": [], **{split: [] for split in splits}}
    for item, key in zip(items, keys, strict=True):
        parts[split_of.get(key, "train")].append(item)
    return parts


def missing_fractions(data: object, splits: Collection[str]) -> dict[str, float]:
    """The options `validation_fraction` and `test_fraction` of a data set by the splits that it does not have yet."""
    fractions = {split: getattr(data, f"{split}_fraction") for split in SPLITS[1:]}
    return {split: share for split, share in fractions.items() if share and split not in splits}


def evenly(examples: list[T], limit: int | None) -> list[T]:
    """Up to `limit` examples at even distances, since files are often sorted."""
    if limit is None or limit >= len(examples):
        return examples
    return [examples[i * len(examples) // limit] for i in range(limit)]


def part_of(parts: Mapping[str, T], split: str) -> T:
    """The part of a split.

    Raises:
        DataError: there is no such split.
    """
    if split not in parts:
        raise DataError(f'the data has no split "{split}": it has {", ".join(parts)}')
    return parts[split]


def interleaved(keys: Sequence[K], labels: Mapping[K, str]) -> list[K]:
    """The keys in an order of which each beginning has about the same share of each label."""
    counts = Counter(labels[key] for key in keys)
    before: Counter[str] = Counter()
    places: dict[K, float] = {}
    for key in keys:
        label = labels[key]
        places[key] = (before[label] + 0.5) / counts[label]
        before[label] += 1
    return sorted(keys, key=places.__getitem__)
