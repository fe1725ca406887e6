"""Forecasting: a series is continued by the network's own outputs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, Features, Prediction
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.parts import Network
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName
from seqzoo.network.network_ensemble import Ensemble
from seqzoo.tasks.regression import Regression, written


class Forecasting(Regression):
    """Predicts the next `horizon` values of a series.

    The targets of the data are the next values of the first D inputs; the other inputs are given (exogenous). In
    training, the network reads true values and predicts the next one at each step (open loop), by the squared error. A
    forecast begins after the first T - horizon + 1 inputs of a row, or without targets after all of them, and each
    prediction is an input of the next step (closed loop).

    An answer has a text for each step of the forecast. The networks of an ensemble each continue the series, and their
    forecasts are averaged.

    Args:
        feature_size, spec, metrics, dropout, washout: as of `Regression`.
        horizon: number of steps; None: 1.

    Raises:
        ValueError: the targets are not the next values of inputs.

    Shape:
        Scores: (B, T, D), the predictions one step ahead.

    Source: Jaeger & Haas, Harnessing Nonlinearity: Predicting Chaotic Systems and Saving Energy in Wireless
    Communication, 2004, https://doi.org/10.1126/science.1091277
    """

    example_answers = (["0.5"] * 100,)  # metrics may need as many steps
    legend = "last inputs -> last step of the forecast   (right: the right number)"
    needs_causal = True

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        horizon: int | None = None,
        dropout: float = 0.0,
        washout: int = 0,
    ):
        super().__init__(feature_size, spec, metrics, dropout, washout)
        self.horizon = 1 if horizon is None else horizon
        if self.horizon < 1:
            raise ValueError(f"horizon is {horizon}: it must be at least 1")
        if spec.kind and (not spec.per_step or spec.output_size > spec.input_size):
            raise ValueError(
                "a forecast needs data whose targets are the next values of the first inputs, such as data=mackey_glass"
            )

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        networks = [model, *(model.other_networks if isinstance(model, Ensemble) else ())]
        numbers = torch.stack([network.task.forecast(network, batch) for network in networks]).mean(0)
        return [Prediction(answer, 0.0) for answer in written(numbers)]

    def forecast(self, model: Network, batch: Batch) -> Tensor:
        """The next values in a closed loop, (B, horizon, D).

        Args:
            model: the network.
            batch: of the last `horizon` - 1 inputs, only those beyond the first D are read; without targets, a row ends
                where its forecast begins.

        Raises:
            DataError: a row is too short, or lacks the further inputs of the steps of the forecast.
        """
        further = self.spec.input_size - self.spec.output_size
        if batch.targets is None and further and self.horizon > 1:
            raise DataError(
                f"the model reads {further} inputs besides the series, which are not known for {self.horizon} steps "
                "ahead: set task.horizon=1, or train on the series alone"
            )
        known = batch.lengths if batch.targets is None else self._known_steps(batch.lengths)
        features = model.encode(replace(batch, lengths=known, padded=True))
        state, outputs, rows = features.state, features.last, torch.arange(batch.size, device=known.device)
        predictions = [self.head(self.dropout(outputs))]
        for step in range(self.horizon - 1):
            inputs = predictions[-1]
            if further:
                inputs = torch.cat([inputs, batch.inputs[rows, known + step, self.spec.output_size :]], 1)
            outputs, state = model.step(inputs, state)
            predictions.append(self.head(self.dropout(outputs)))
        return torch.stack(predictions, 1)

    def references(self, batch: Batch) -> list:
        steps = torch.arange(self.horizon, device=batch.lengths.device) - 1
        steps = self._known_steps(batch.lengths)[:, None] + steps
        return written(batch.required_targets.gather(1, steps[..., None].expand(-1, -1, self.spec.output_size)))

    def _known_steps(self, lengths: Tensor) -> Tensor:
        """The number of inputs of rows of these lengths that are read before the forecast."""
        if int(lengths.min()) < self.horizon:
            raise DataError(
                f"a row has {int(lengths.min())} steps, too few to forecast task.horizon={self.horizon}: lower it, or "
                "raise data.steps"
            )
        return lengths - self.horizon + 1
