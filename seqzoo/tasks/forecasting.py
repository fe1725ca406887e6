"""Forecasting: a series is continued by the network's own outputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import Outlook, Streamed
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import reorder
from seqzoo.metrics import MetricName
from seqzoo.metrics.numeric_errors import MeanAbsoluteScaledError
from seqzoo.network.heads.distributions import DistributionHead, MixtureHead, QuantileHead, levels
from seqzoo.network.heads.linear_window import LinearWindow
from seqzoo.network.network_ensemble import Ensemble
from seqzoo.tasks.example_lines import example_line
from seqzoo.tasks.regression import (
    SHOWN_STEPS,
    Memory,
    Regression,
    at_least_single,
    last_steps,
    rounded,
    with_bands,
    written,
)

LONGEST_WINDOW = 1_000
"""Most steps that a linear model reads."""
SHARES = 1.0, 0.75, 0.5, 0.25, 0.0
"""The shares of a network beside a linear model that are tried on the validation split."""


class Forecasting(Regression):
    """Predicts the next `horizon` values of a series.

    The targets of the data are the next values of the first D inputs; the other inputs are given (exogenous). In
    training, the network reads true values and predicts the next one at each step (open loop). A forecast begins after
    the first T - horizon + 1 inputs of a row, or without targets after all of them, and each prediction is an input of
    the next step (closed loop).

    With the head "point", the loss is the squared error, and the predictions are fed back. With a distribution, `paths`
    forecasts are drawn from it, each of which is fed back its own draws; the answer is their median at each step.

    An answer has a text for each step of the forecast: its D numbers or, with a distribution, each of them followed by
    nine quantiles in brackets. The networks of an ensemble each continue the series, and their forecasts are averaged,
    or their paths joined.

    Args:
        feature_size, spec, metrics, dropout, washout: as of `Regression`.
        horizon: number of steps; None: 1.
        head: "point"; "quantiles" (`QuantileHead`); "mixture" of Gaussians (`MixtureHead`).
        components: number of Gaussians.
        paths: number of forecasts that are drawn from a distribution.
        linear_window: most last inputs that a linear model reads, to whose predictions those of the network are added;
            0: none. The linear model is fitted before training, so that the network learns what it leaves; its number
            of inputs and its penalty are those with the smallest error of forecasts of the validation split. After
            training, the network's share is chosen in the same way.

    Raises:
        ValueError: the targets are not the next values of inputs.

    Shape:
        Scores: (B, T, D), the predictions one step ahead, or (B, T, P), the parameters of a distribution.

    Source: Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless
    Communication, 2004, https://doi.org/10.1126/science.1091277
    Salinas, Flunkert, Gasthaus & Januschowski, DeepAR: Probabilistic Forecasting with Autoregressive Recurrent
    Networks, 2020 (sampled paths), https://doi.org/10.1016/j.ijforecast.2019.07.001
    Lai, Chang, Yang & Liu, Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks, 2018 (the linear
    model), https://arxiv.org/abs/1703.07015
    """

    acts_with: ClassVar[dict[str, str]] = {"components": "head=mixture", "paths": "head=quantiles,mixture"}

    example_answers = (["0.5"] * 100,)  # metrics may need as many steps
    legend = "last known values -> forecast   (target: the values that came)"
    needs_causal = True
    share: Tensor

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        horizon: int | None = None,
        head: Literal["point", "quantiles", "mixture"] = "point",
        components: int = 3,
        paths: int = 100,
        linear_window: int = 0,
        dropout: float = 0.0,
        washout: int = 0,
    ):
        super().__init__(feature_size, spec, metrics, dropout, washout)
        self.horizon, self.paths = 1 if horizon is None else horizon, paths
        for name, value in (("horizon", self.horizon), ("components", components), ("paths", paths)):
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        if not 0 <= linear_window <= LONGEST_WINDOW:
            raise ValueError(f"linear_window is {linear_window}: it must be from 0 to {LONGEST_WINDOW:,}")
        if spec.kind and not spec.next_values:
            raise ValueError(
                "a forecast needs data whose targets are the next values of the first inputs, such as "
                "data=forecast_files, or data=mackey_glass with data.horizon=1"
            )
        self.distribution: DistributionHead | None = None
        if head != "point":
            size = spec.output_size
            quantiles = head == "quantiles"
            distribution = (
                QuantileHead(feature_size, size) if quantiles else MixtureHead(feature_size, size, components)
            )
            self.head = self.distribution = distribution
            self.loss_unit = distribution.loss_unit
        self.linear = LinearWindow(spec.input_size, spec.output_size, linear_window) if linear_window else None
        if self.linear is not None:
            self.register_buffer("share", torch.ones(()))

    def forward(self, features: Features, batch: Batch) -> Tensor:
        scores = super().forward(features, batch)
        return scores if self.linear is None else self._added(scores, self.linear(self._real_inputs(batch)))

    def _real_inputs(self, batch: Batch) -> Tensor:
        """The inputs, zero at padded steps."""
        if not batch.padded:
            return batch.inputs
        return batch.inputs.masked_fill(~mask(batch.lengths, batch.inputs.shape[1])[..., None], 0.0)

    def _added(self, scores: Tensor, linear: Tensor) -> Tensor:
        """Scores (..., P) of the network, to which the predictions (..., D) of the linear model are added."""
        if self.distribution is None:
            return linear + self.share * scores
        return self.distribution.shifted(scores, linear)

    @torch.no_grad()
    def fit_beforehand(self, train: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Fit the linear model."""
        if self.linear is None:
            return
        rows = ((batch.inputs, batch.required_targets, self._known(batch).all(-1)) for batch in train)
        held_out = [*validation]
        self.linear.fit(rows, lambda: sum(self._squared_errors(self._linear_forecast(b), b) for b in held_out))

    def _linear_forecast(self, batch: Batch) -> Tensor:
        """The next values (B, horizon, D) by the linear model alone."""
        assert self.linear is not None
        known = self._known_steps(batch.lengths)
        ahead, window = self._inputs_ahead(batch, known), self.linear.last_inputs(batch.inputs, known)
        predictions = [self.linear.after(window)]
        for step in range(1, self.horizon):
            inputs = self._next_inputs(predictions[-1], ahead[:, step - 1])
            window = torch.cat([window[:, 1:], inputs[:, None]], 1)
            predictions.append(self.linear.after(window))
        return torch.stack(predictions, 1)

    def _squared_errors(self, forecast: Tensor, batch: Batch) -> float:
        """The sum of the squared errors of a forecast (B, horizon, D); infinity if it is not finite."""
        targets = self._forecast_steps(batch.required_targets, batch)
        total = float((forecast - targets).square().masked_fill(targets.isnan(), 0.0).sum())
        return total if math.isfinite(total) else math.inf

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        if self.distribution is None:
            total, count = super().loss(scores, batch)
        else:
            known = self._known(batch)
            losses = self.distribution.loss(at_least_single(scores), batch.required_targets, known)
            steps = known.any(-1)
            total, count = losses.masked_fill(~steps, 0.0).sum(), steps.sum()
        return Loss(total, count)

    @torch.no_grad()
    def calibrate(self, model: Network, encoded: Iterable[tuple[Batch, Features]]) -> bool:
        """Fit the share of the network beside the linear model."""
        if self.linear is None or self.distribution is not None:
            return False
        batches = [batch for batch, _ in encoded]

        def error(share: float) -> float:
            self.share.fill_(share)
            return sum(self._squared_errors(self.forecasts(model, batch)[0], batch) for batch in batches)

        self.share.fill_(min(SHARES, key=error))
        return True

    def readout_rows(self, features: Features, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, targets = super().readout_rows(features, batch)
        if self.linear is None:
            return inputs, targets
        return inputs, targets - self.linear(self._real_inputs(batch))[self._known(batch).all(-1)]

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        """The mean of predictions or quantiles. Mixtures have none of the same form: those of the first network."""
        return scores[0] if isinstance(self.distribution, MixtureHead) else super().average(scores)

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        return [Prediction(answer, None) for answer in self._written(self._quantiles(model, batch))]

    def _written(self, quantiles: Tensor) -> list[list[str]]:
        """The texts of forecasts (B, horizon, D, Q)."""
        return written(quantiles[..., 0]) if self.distribution is None else with_bands(quantiles)

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        """The predictions of the next values; an exported model is fed with its own ones to forecast further."""
        if self.linear is not None:
            advice = "train with task.linear_window=0"
            raise ConfigError([f"the run adds a linear model of many inputs, which a step does not have: {advice}"])
        return self(features, batch)

    def begin_stream(self) -> Memory:
        if self.horizon > 1 and self._measured > self.spec.output_size:
            needs = f"a stream does not have those of the {self.horizon - 1} steps ahead: add --set horizon=1"
            raise ConfigError([f"the model reads inputs that it does not predict, and {needs}"])
        return Memory()

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[Memory]) -> list[Streamed]:
        """The forecast after the last new step, and the scores of all new steps, which predict the next values."""
        scores, read = Regression.forward(self, features, batch), batch.inputs[:, :0]
        if self.linear is not None:
            last = [
                row[:1].expand(self.linear.steps, -1) if memory.last is None else memory.last
                for row, memory in zip(batch.inputs, memories, strict=True)
            ]
            inputs = torch.cat([torch.stack(last), self._real_inputs(batch)], 1)
            read = self.linear.last_inputs(inputs, batch.lengths + self.linear.steps)
            for memory, steps in zip(memories, read, strict=True):
                memory.last = steps
            scores = self._added(scores, self.linear(inputs)[:, self.linear.steps :])
        ahead = self._inputs_ahead(batch, batch.lengths)
        answers = self._written(self._summary(self._continued(model, features, read, ahead), batch))
        rows = zip(answers, scores, batch.lengths.tolist(), strict=True)
        return [Streamed(answer, numbers[:length]) for answer, numbers, length in rows]

    def outlooks(self, model: Network, batch: Batch) -> list[Outlook]:
        size, channels, true = self.spec.output_size, self.spec.channels, None
        names = [f"value {i}" for i in range(1, size + 1)] if channels is None else channels.names[:size]
        known = batch.lengths
        if batch.targets is not None:
            known, true = (
                self._known_steps(batch.lengths),
                self.in_units(self._forecast_steps(batch.targets, batch), batch),
            )
        read, quantiles = self.in_units(batch.inputs[..., :size], batch), self._quantiles(model, batch)
        return [
            Outlook(names, read[row, :count], quantiles[row], None if true is None else true[row])
            for row, count in enumerate(known.tolist())
        ]

    def _quantiles(self, model: Network, batch: Batch) -> Tensor:
        """The forecast in units of the data, (B, horizon, D, Q): nine quantiles, or a single number."""
        networks = [model, *(model.other_networks if isinstance(model, Ensemble) else ())]
        return self._summary(torch.cat([network.task.forecasts(network, batch) for network in networks]), batch)

    def _summary(self, paths: Tensor, batch: Batch) -> Tensor:
        """The quantiles of paths (S, B, horizon, D), as of `_quantiles`."""
        drawn = self.in_units(paths, batch)
        if self.distribution is None:
            return drawn.mean(0)[..., None]
        ranks = torch.tensor(levels(), dtype=drawn.dtype, device=drawn.device)
        return drawn.quantile(ranks, 0).movedim(0, -1)

    def forecasts(self, model: Network, batch: Batch) -> Tensor:
        """The next values in a closed loop, (S, B, horizon, D): S paths, or a single forecast without a distribution.

        Args:
            model: the network.
            batch: of the last `horizon` - 1 inputs, only those beyond the first D are read; without targets, a row ends
                where its forecast begins, and the further inputs of the steps after it are in `Batch.ahead`.

        Raises:
            DataError: a row is too short, or lacks the further inputs of the steps of the forecast.
        """
        known = batch.lengths if batch.targets is None else self._known_steps(batch.lengths)
        ahead = self._inputs_ahead(batch, known)
        features = model.encode(replace(batch, lengths=known, padded=True))
        read = batch.inputs[:, :0] if self.linear is None else self.linear.last_inputs(batch.inputs, known)
        return self._continued(model, features, read, ahead)

    def _continued(self, model: Network, features: Features, read: Tensor, ahead: Tensor) -> Tensor:
        """`forecasts` after some steps.

        Args:
            model: the network.
            features: of these steps.
            read: (B, W, I), the last inputs, for the linear model.
            ahead: (B, horizon - 1, I), the inputs of the steps of the forecast.
        """
        count = 1 if self.distribution is None else self.paths
        rows = torch.arange(len(features.last), device=features.last.device).repeat(count)
        state, outputs, ahead, read = reorder(features.state, rows), features.last[rows], ahead[rows], read[rows]
        # the same draws in every evaluation, whatever the training's random state
        generator = torch.Generator().manual_seed(0)
        predictions: list[Tensor] = []
        for step in range(self.horizon):
            if step:
                inputs = self._next_inputs(predictions[-1], ahead[:, step - 1])
                outputs, state = model.step(inputs, state)
                read = torch.cat([read[:, 1:], inputs[:, None]], 1)
            scores = self.head(self.dropout(outputs))
            if self.linear is not None:
                scores = self._added(scores, self.linear.after(read))
            drawn = scores if self.distribution is None else self.distribution.sample(scores, generator)
            predictions.append(drawn)
        return torch.stack(predictions, 1).unflatten(0, (count, -1))

    def answers_by(self, predict: Callable[[Batch], Tensor], batch: Batch) -> list:
        known, rows = self._known_steps(batch.lengths), torch.arange(batch.size)
        inputs = batch.inputs.clone()
        predictions: list[Tensor] = []
        for step in range(self.horizon):
            if step:
                place = rows, known + step - 1
                inputs[place] = self._next_inputs(predictions[-1], inputs[place])
            read = replace(batch, inputs=inputs, lengths=known + step, padded=True)
            predictions.append(predict(read)[rows, known + step - 1].to(inputs))
        return written(self.in_units(torch.stack(predictions, 1), batch))

    def _inputs_ahead(self, batch: Batch, known: Tensor) -> Tensor:
        """The inputs (B, horizon - 1, I) of the steps of the forecast, of which the first D are replaced.

        Args:
            batch: see `forecasts`.
            known: (B,), the number of inputs before the forecast.
        """
        steps, rows = self.horizon - 1, torch.arange(batch.size, device=known.device)
        if batch.targets is not None:
            return batch.inputs[rows[:, None], known[:, None] + torch.arange(steps, device=known.device)]
        further = self._measured - self.spec.output_size
        if not further:
            # log(1 + t) of the usual interval
            return batch.inputs.new_full((batch.size, steps, self.spec.input_size), math.log(2))
        ahead = batch.inputs.new_zeros(batch.size, 0, self.spec.input_size) if batch.ahead is None else batch.ahead
        given = int((~ahead.isnan().any(-1)).sum(1).min())
        if given < steps:
            # the last input before the forecast has those of the first step ahead
            first = int(self.spec.channels is not None and self.spec.channels.ahead > 0)
            raise DataError(
                f"the model reads {further} inputs besides those that it predicts, and to forecast {self.horizon} "
                f"steps it needs them for {steps + first} steps ahead, where a series has {given + first}: add steps "
                "in which only "
                "these are given and the others are missing (?), or set task.horizon=1"
            )
        return ahead[:, :steps]

    def _next_inputs(self, values: Tensor, known: Tensor) -> Tensor:
        """The inputs (B, I) of a step of the forecast, from predicted values (B, D) and those of its inputs that are
        known, (B, I).
        """
        size, channels = self.spec.output_size, self.spec.channels
        inputs = known.clone()
        inputs[:, :size] = values
        if channels is not None and channels.masked:
            count = self._measured
            inputs[:, count : count + size] = 1.0  # a predicted value is there, and
            inputs[:, 2 * count : 2 * count + size] = math.log(2)  # so was the one before
        return inputs

    @property
    def _measured(self) -> int:
        """The number of inputs of a step that are measurements, not masks or times."""
        return self.spec.input_size if self.spec.channels is None else len(self.spec.channels.names)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: the last known values -> the forecast   (target: the values that came)."""
        known = batch.lengths if batch.targets is None else self._known_steps(batch.lengths)
        targets = self.references(batch) if batch.targets is not None else [None] * batch.size
        values = self.in_units(batch.inputs[..., : self.spec.output_size], batch)
        return [
            example_line(last_steps(row, length), _first([*p.answer]), None if target is None else _first(target))
            for row, length, p, target in zip(values, known.tolist(), predictions, targets, strict=True)
        ]

    def answers(self, numbers: Tensor, batch: Batch) -> list:
        """The steps of numbers (B, T, D) that are forecast, in the units of the data."""
        return written(self.in_units(self._forecast_steps(numbers, batch), batch))

    def _forecast_steps(self, numbers: Tensor, batch: Batch) -> Tensor:
        """The last `horizon` steps of each row of numbers (B, T, D)."""
        steps = torch.arange(self.horizon, device=batch.lengths.device) - 1
        steps = self._known_steps(batch.lengths)[:, None] + steps
        return numbers.gather(1, steps[..., None].expand(-1, -1, self.spec.output_size))

    def metrics(self) -> list[Metric]:
        metrics = super().metrics()
        for metric in metrics:
            if isinstance(metric, MeanAbsoluteScaledError) and self.spec.channels is not None:
                metric.changes = self.spec.channels.changes[: self.spec.output_size]
        return metrics

    def _known_steps(self, lengths: Tensor) -> Tensor:
        """The number of inputs of rows of these lengths that are read before the forecast."""
        if int(lengths.min()) < self.horizon:
            raise DataError(
                f"a row has {int(lengths.min())} steps, too few to forecast task.horizon={self.horizon}: lower it, or "
                "give longer rows"
            )
        return lengths - self.horizon + 1


def _first(answer: list[str]) -> str:
    """The first steps of a forecast in a line, without the quantiles in brackets."""
    steps = [rounded(re.sub(r" \([^)]*\)", "", step)) for step in answer[:SHOWN_STEPS]]
    return ", ".join(steps) + " ..." * (len(answer) > SHOWN_STEPS)
