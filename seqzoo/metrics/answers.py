"""What metrics of predictions share: how an answer and its reference are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqzoo.contracts.batch import Loss


class PredictionMetric:
    """A metric that reads one answer and its reference at a time."""

    name: str
    higher_is_better = True
    from_predictions = True
    scores_alone = True

    def update(self, loss: Loss, answers: list, references: list) -> None:
        for answer, reference in zip(answers, references, strict=True):
            self.add(answer, reference)

    def add(self, answer: Any, reference: Any) -> None:
        raise NotImplementedError

    def compute(self) -> float:
        raise NotImplementedError


def is_right(answer: str | list[str], reference: str | list[str]) -> bool:
    """Whether an answer is its reference, or a text among those that are right."""
    return answer in reference if isinstance(answer, str) and isinstance(reference, list) else answer == reference


def all_of(reference: str | list[str]) -> list[str]:
    """The texts that are right."""
    return [reference] if isinstance(reference, str) else reference


def labels(answer: str | list[str], reference: str | list[str]) -> Iterator[tuple[str, str]]:
    """The labels to compare: two texts are one label each, two lists one label a step."""
    if isinstance(answer, str) and isinstance(reference, str):
        return iter([(answer, reference)])
    if isinstance(answer, str) or isinstance(reference, str):
        raise ValueError(f"One text cannot be compared with one text a step: {answer!r} and {reference!r}.")
    if len(answer) != len(reference):
        raise ValueError(f"An answer of {len(answer)} labels cannot be compared with a reference of {len(reference)}.")
    return zip(answer, reference, strict=True)
