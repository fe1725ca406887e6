"""Codecs of labels: the order of classes, the tags of a scheme; and labels that occur outside training alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.span_notation import OUTSIDE, parse, tags_of
from seqzoo.data.text.codec import LabelCodec


def label_codec(where: Mapping[str, str]) -> LabelCodec:
    """The codec of labels: in numeric order if all of them are numbers, else in alphabetic order.

    Args:
        where: file and line of an example of each label, for messages.

    Raises:
        DataError: all labels are numbers, but not all are finite.
    """
    if not are_numbers(where):
        return LabelCodec(sorted(where))
    numbers = {label: float(label) for label in where}
    for label, number in numbers.items():
        if not math.isfinite(number):
            raise DataError(
                f"{where[label]}: the label is {label}, but all others are finite numbers: correct or remove the "
                "example"
            )
    return LabelCodec(sorted(numbers, key=numbers.__getitem__))


def are_numbers(labels: Iterable[str]) -> bool:
    """Whether all labels are numbers."""
    try:
        return bool([*map(float, labels)])
    except ValueError:
        return False


def are_ratings(labels: Collection[str]) -> bool:
    """Whether labels are three or more numbers, but not 0, 1, 2, ... without a gap: so programs number classes, between
    which there is no distance, while ratings begin at 1, or have fractions or gaps.
    """
    return len(labels) > 2 and are_numbers(labels) and {*map(float, labels)} != {*range(len(labels))}


def tag_codec(tags: Collection[str], scheme: str | None) -> LabelCodec:
    """The codec of tags. With a scheme, all of its tags for the types that occur, since some, such as that of a name of
    one token, may occur in other splits alone.
    """
    if scheme is None:
        return LabelCodec(sorted(tags))
    return LabelCodec(tags_of({parse(tag).kind for tag in tags if tag != OUTSIDE}, scheme), scheme)


def check_classes(trained: Collection[str], examples: str) -> None:
    """Check that there are at least two classes.

    Args:
        trained: the labels of the training split.
        examples: what an example is called, for the message, such as "recording".

    Raises:
        DataError: all examples have the same label.
    """
    if len(trained) < 2:
        raise DataError(
            f"every training {examples} has the label {min(trained)!r}: give examples of two classes or more"
        )


def unseen_labels(where: Mapping[str, str], trained: Collection[str]) -> list[str]:
    """A remark on labels that only occur outside the training split; empty if there are none.

    Args:
        where: each label and a place where it occurs.
        trained: the labels of the training split.
    """
    unseen = sorted(where.keys() - set(trained))
    if not unseen:
        return []
    listed = ", ".join([*(f"{label} at {where[label]}" for label in unseen[:3]), *["..."] * (len(unseen) > 3)])
    return [f"labels that do not occur in training and cannot be predicted: {listed}"]
