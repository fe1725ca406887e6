"""Answers that are numbers: the mean, the last value, that of a period before, and a linear model of a window."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import add

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.contracts.batch import Batch, Loss
from seqzoo.contracts.capabilities import AnswersNumbers
from seqzoo.contracts.counting import counted
from seqzoo.contracts.masking import mask
from seqzoo.contracts.spec import DataSpec
from seqzoo.network.heads.linear_window import System

WINDOWS = (1, 4, 16, 64)
"""Numbers of last steps that a linear model reads."""
PERIODS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 24, 26, 30, 48, 52, 60, 90, 96, 144, 168, 288, 336, 365)
"""Numbers of steps of a season."""
PENALTIES = (1e-6, 1e-3, 1.0)
"""Factors of the squared weights, relative to the number of targets."""
MOST_FEATURES = 1_000
"""Of a linear model."""


class MeanTarget(Baseline):
    """The mean of the training targets."""

    kind = "regression"
    name = "mean"
    speed = 1e7

    def fit(self, train: Split, validation: Split) -> None:
        targets = torch.cat([real_steps(batch.required_targets, batch, train.spec) for batch in train.batches()])
        self.mean = targets.double().nanmean(0)
        self.description = "of the training targets"

    def answer(self, split: Split) -> Answers:
        return answers_of(split, lambda batch: self.mean.expand_as(batch.required_targets))


class LastValue(Baseline):
    """Persistence: the last input is the answer."""

    kind = "regression"
    name = "persistence"
    speed = 1e7

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.picture is None and spec.input_size >= spec.output_size

    def fit(self, train: Split, validation: Split) -> None:
        self.description = "the last input"

    def answer(self, split: Split) -> Answers:
        return answers_of(
            split, lambda batch: at_targets(batch.inputs, batch, split.spec)[..., : split.spec.output_size]
        )


class SeasonalNaive(Baseline):
    """The value one period before, and the last value where there is none; the best period on the validation split."""

    kind = "regression"
    name = "seasonal naive"
    speed = 1e5

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return LastValue.reads(spec) and spec.per_step

    def fit(self, train: Split, validation: Split) -> None:
        longest = max(int(batch.lengths.max()) for batch in validation.batches())
        periods = [period for period in PERIODS if period < longest] or [1]
        self.period = validation.best(periods, lambda period: self._of(validation, period))
        self.description = f"the value {counted(self.period, 'step')} before"

    def answer(self, split: Split) -> Answers:
        return self._of(split, self.period)

    def _of(self, split: Split, period: int) -> Answers:
        def predict(batch: Batch) -> Tensor:
            values = batch.inputs[..., : split.spec.output_size]
            return torch.cat([values[:, : period - 1], values[:, : values.shape[1] - period + 1]], 1)

        return answers_of(split, predict)


class LinearWindow(Baseline):
    """Ridge regression on the last inputs; the best window and penalty on the validation split."""

    kind = "regression"
    name = "linear model of a window"
    speed = 2e5

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.picture is None

    def fit(self, train: Split, validation: Split) -> None:
        windows = [steps for steps in WINDOWS if steps * train.spec.input_size <= MOST_FEATURES] or [1]
        systems = {
            steps: reduce(add, (_equations(batch, steps, train.spec) for batch in train.batches())) for steps in windows
        }
        candidates = [
            (steps, penalty, systems[steps].solution(penalty)) for steps, penalty in product(windows, PENALTIES)
        ]
        chosen = validation.best(candidates, lambda candidate: self._of(validation, candidate[0], candidate[2]))
        self.steps, penalty, self.weights = chosen
        self.description = f"ridge regression on the last {counted(self.steps, 'input')}, penalty {penalty:g}"

    def answer(self, split: Split) -> Answers:
        return self._of(split, self.steps, self.weights)

    def _of(self, split: Split, steps: int, weights: Tensor) -> Answers:
        return answers_of(split, lambda batch: window(batch, steps, split.spec) @ weights)


def answers_of(split: Split, predict: Callable[[Batch], Tensor]) -> Answers:
    """The answers of a split, and their loss by the task.

    Args:
        split: whose targets are predicted.
        predict: returns numbers of the shape of the targets of a batch.
    """
    answers: list = []
    squared = split.task.loss_unit == "squared error"
    total, count = torch.zeros((), dtype=torch.double), 0.0
    for batch in split.batches():
        if squared:  # other losses are of distributions
            loss = split.task.loss(predict(batch), batch)
            total, count = total + loss.total.double(), count + float(loss.count)
        if isinstance(split.task, AnswersNumbers):
            answers += split.task.answers_by(predict, batch)
    return Answers(
        answers if isinstance(split.task, AnswersNumbers) else None,
        Loss(total, torch.tensor(count)) if squared else None,
    )


def at_targets(values: Tensor, batch: Batch, spec: DataSpec) -> Tensor:
    """(B, T, F) -> the values at the steps of the targets: all steps, or the last one of each row, (B, F)."""
    return values if spec.per_step else values[torch.arange(batch.size), batch.lengths - 1]


def real_steps(values: Tensor, batch: Batch, spec: DataSpec) -> Tensor:
    """(B, T, F) or (B, F) at the targets -> (N, F), without padding."""
    return values[mask(batch.lengths, values.shape[1])] if spec.per_step else values


def window(batch: Batch, steps: int, spec: DataSpec) -> Tensor:
    """The inputs of the last steps before each target, and a constant: (B, T, F) or (B, F), zeros before a row."""
    padded = F.pad(batch.inputs.double(), (0, 0, steps - 1, 0))
    inputs = padded.unfold(1, steps, 1).flatten(2)
    return F.pad(at_targets(inputs, batch, spec), (0, 1), value=1.0)


def _equations(batch: Batch, steps: int, spec: DataSpec) -> System:
    """The normal equations of a batch, without missing targets."""
    features = real_steps(window(batch, steps, spec), batch, spec)[:, :-1]
    targets = real_steps(batch.required_targets, batch, spec)
    known = ~targets.isnan().any(-1)
    return System.of(features[known], targets[known])
