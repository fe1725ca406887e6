"""The contract of a baseline, the split that it reads, and how its answers are scored."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch

from seqzoo.contracts.batch import Batch, Loss
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.parts import Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.network import results

T = TypeVar("T")

BEFORE_TARGET, AFTER_TARGET = "<target>", "</target>"
"""Tokens around the marked target of a text."""


class Answers(NamedTuple):
    """What a baseline answers to a split.

    Attributes:
        answers: in the form of `Prediction.answer`, one for each row; None: there are none, as of a language model.
        loss: the sum of the losses in the unit of the task's loss, and the number of targets; None: there is none.
    """

    answers: list[Any] | None
    loss: Loss | None = None


class Split:
    """One split of a loaded data module, as a baseline reads it.

    Args:
        data: the data module, loaded.
        task: reads references and scores answers.
        name: "train", "validation" or "test".
    """

    def __init__(self, data: DataModule, task: Task, name: str):
        self.data, self.task, self.name = data, task, name

    @property
    def spec(self) -> DataSpec:
        return self.data.spec

    def batches(self) -> Iterator[Batch]:
        return iter(self.data.plain_batches(self.name))

    @cached_property
    def references(self) -> list[Any]:
        """The correct answer of each row, as of `Task.references`."""
        task = self.task
        return [
            reference
            for batch in self.batches()
            for reference in results.per_row(task, "references", task.references(batch), batch.size)
        ]

    @cached_property
    def tokens(self) -> list[list[str]]:
        """The tokens of each row, with marks around its target if it has one."""
        rows: list[list[str]] = []
        for batch in self.batches():
            tokens = self.task.tokens_read(batch)
            if batch.spans is not None:
                tokens = [_marked(row, *span) for row, span in zip(tokens, batch.spans.tolist(), strict=True)]
            rows += tokens
        return rows

    @cached_property
    def texts(self) -> list[str]:
        """The text of each row, joined from its tokens."""
        return [self.spec.input_codec.join(row) for row in self.tokens]

    def scores(self, answers: Answers) -> dict[str, float]:
        """The scores by the metrics of the task, as far as they are defined, and the mean loss where there is one."""
        loss = Loss(torch.zeros(()), torch.zeros(())) if answers.loss is None else answers.loss
        scores: dict[str, float] = {}
        for metric in self.task.metrics():
            if answers.answers is None if metric.from_predictions else answers.loss is None:
                continue
            metric.update(loss, answers.answers or [], self.references if metric.from_predictions else [])
            scores[metric.name] = metric.compute()
        if answers.loss is not None:
            scores[self.task.loss_name] = float(loss.total) / max(float(loss.count), 1.0)
        return {name: float(value) for name, value in scores.items() if math.isfinite(value)}

    def quality(self, scores: dict[str, float]) -> float:
        """The first metric of the task that there is a score of, higher is better; -inf without any."""
        for metric in self.task.metrics():
            if metric.name in scores:
                return scores[metric.name] if metric.higher_is_better else -scores[metric.name]
        return -math.inf

    def best(self, candidates: Iterable[T], answer: Callable[[T], Answers]) -> T:
        """The candidate whose answers to this split are best, the first one among equals."""
        chosen, quality = None, -math.inf
        for candidate in candidates:
            reached = self.quality(self.scores(answer(candidate)))
            if chosen is None or reached > quality:
                chosen, quality = candidate, reached
        assert chosen is not None, "there is at least one candidate"
        return chosen


def _marked(tokens: list[str], start: int, end: int) -> list[str]:
    return [*tokens[:start], BEFORE_TARGET, *tokens[start:end], AFTER_TARGET, *tokens[end:]]


def most_frequent(counts: Mapping[str, int]) -> str:
    """The most frequent label; of several, the first in the alphabet."""
    return max(sorted(counts), key=counts.__getitem__)


class Baseline:
    """A simple model of one kind of data, to compare a network with; constructed without arguments.

    Attributes:
        kind: the `DataSpec.kind` that it reads.
        name: in tables.
        package: the optional package that it needs; None: none.
        speed: training tokens per second on one core, roughly.
        description: what was chosen on the validation split; set by `fit`.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    package: ClassVar[str | None] = None
    speed: ClassVar[float] = 1e6
    description: str = ""

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        """Whether it reads data of this description."""
        return spec.kind == cls.kind

    @abstractmethod
    def fit(self, train: Split, validation: Split) -> None:
        """Fit the training split; what is to be chosen is chosen by the scores on the validation split."""

    @abstractmethod
    def answer(self, split: Split) -> Answers:
        """The answers to another split."""
