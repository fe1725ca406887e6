"""The base of all metrics of predictions, and how an answer is compared with its reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.metric import Metric


class PredictionMetric(Metric):
    """A metric that is updated by one answer and its reference at a time, in `add`."""

    higher_is_better = True
    from_predictions = True
    scores_alone = True

    def update(self, loss: Loss, answers: list, references: list) -> None:
        for answer, reference in zip(answers, references, strict=True):
            self.add(answer, reference)

    def add(self, answer: Any, reference: Any) -> None:
        raise NotImplementedError


def is_right(answer: str | list[str], reference: str | list[str]) -> bool:
    """Whether an answer equals its reference or, where that is a list of texts, one of them."""
    return answer in reference if isinstance(answer, str) and isinstance(reference, list) else answer == reference


def all_of(reference: str | list[str]) -> list[str]:
    """A reference as the list of its correct texts."""
    return [reference] if isinstance(reference, str) else reference


def given_labels(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[str, str]]:
    """`labels` where the reference has one: a step without a tag, "", is not compared."""
    return ((predicted, correct) for predicted, correct in labels(answer, reference) if correct)


def labels(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of (predicted label, correct label): one pair for two texts, one per step for two lists.

    Raises:
        ValueError: a text is compared with a list, or the lists differ in length.
    """
    if isinstance(answer, str) and isinstance(reference, str):
        return iter([(answer, reference)])
    if isinstance(answer, str) or isinstance(reference, str):
        raise ValueError(f"a single label cannot be compared with one label per step: {answer!r} and {reference!r}")
    if len(answer) != len(reference):
        raise ValueError(f"an answer of {len(answer)} labels cannot be compared with a reference of {len(reference)}")
    return zip(answer, reference, strict=True)
