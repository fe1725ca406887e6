"""Hashing of features, so that a table of weights needs no vocabulary of them.

Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009, https://arxiv.org/abs/0902.2206
"""

from __future__ import annotations

from torch import Tensor

FACTOR = 1_000_003


def buckets_for(classes: int, most: int, most_weights: int) -> int:
    """The number of rows of a table of weights: a power of two.

    Args:
        classes: number of columns.
        most: maximum number of rows.
        most_weights: maximum number of rows times columns.
    """
    return min(most, 2 ** max((most_weights // classes).bit_length() - 1, 0))


def joined(key: Tensor, other: Tensor | int) -> Tensor:
    """A key of a pair of keys, which depends on their order. int64 overflows, which hashing permits."""
    return key * FACTOR + other


def bucket(key: Tensor, kind: int, buckets: int) -> Tensor:
    """The row of a feature in a table of weights.

    Args:
        key: what the feature is, int64.
        kind: which kind of feature it is: equal keys of different kinds have different rows.
        buckets: number of rows.
    """
    mixed = joined(key, kind) * 2_654_435_761
    return (mixed ^ (mixed >> 17)) % buckets
