"""From measurements to the inputs of a model: scaling, missing values, and the time between steps.

Lipton, Kale & Wetzel, Directly Modeling Missing Data in Sequences with RNNs, 2016 (the mask),
https://arxiv.org/abs/1606.04130
Che, Purushotham, Cho, Sontag & Liu, Recurrent Neural Networks for Multivariate Time Series with Missing Values, 2018
(the time since the last value), https://doi.org/10.1038/s41598-018-24271-9
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.spec import Channels

REGULAR = 1e-3
"""Largest relative difference of the distances between steps that count as equal."""


def fit_channels(
    names: list[str],
    values: Sequence[Tensor],
    times: Sequence[Tensor | None],
    scaled: bool = True,
    window: int | None = None,
    relative_size: int = 0,
) -> Channels:
    """Fit the scaling to a training split.

    Args:
        names: of the C channels.
        values: of each series, (T, C), NaN where missing.
        times: of the steps of each series, (T,); None: at equal distances.
        scaled: False: means are 0 and scales 1. The scale of a channel that does not vary is 1.
        window: number of steps of rows that are relative; None: rows are not.
        relative_size: number of first channels that are; their scale is that of changes over half a window.
    """
    steps = torch.cat([*values])
    present = ~steps.isnan()
    counts = present.sum(0).clamp(min=1)
    means = steps.nan_to_num().sum(0) / counts
    scales = ((steps - means).nan_to_num().square().sum(0) / counts).sqrt()
    if window is not None:
        lags = [max(1, min(window, len(part)) // 2) for part in values]
        moves = torch.cat(
            [part[lag:] - part[: max(0, len(part) - lag)] for part, lag in zip(values, lags, strict=True)]
        )
        sizes = moves.square().nanmean(0).sqrt().nan_to_num()
        sizes[relative_size:] = 0
        scales = torch.where(sizes > 0, sizes, scales)
    # a constant channel has rounding errors only
    scales = torch.where(scales <= 1e-12 * means.abs(), torch.ones_like(scales), scales)
    if not scaled:
        means, scales = torch.zeros_like(means), torch.ones_like(scales)
    changes = torch.cat([part.diff(dim=0).abs() for part in values]).nanmean(0).nan_to_num()
    intervals = torch.cat([part.diff() for part in times if part is not None] or [torch.zeros(0)])
    interval = None
    if len(intervals) and intervals.max() - intervals.min() > REGULAR * intervals.median():
        interval = float(intervals.median())
    return Channels(names, means.tolist(), scales.tolist(), changes.tolist(), bool((~present).any()), interval, window)


def constant_channels(names: list[str], values: Sequence[Tensor]) -> list[str]:
    """The names of the channels that do not vary in a split; values: of each series, (T, C), NaN where missing."""
    steps = torch.cat([*values])
    highest, lowest = (fill.amax(0) for fill in (steps.nan_to_num(-torch.inf), -steps.nan_to_num(torch.inf)))
    return [name for name, same in zip(names, (highest <= -lowest).tolist(), strict=True) if same]


def model_inputs(values: Tensor, times: Tensor | None, channels: Channels) -> Tensor:
    """The inputs of a model at each step.

    They are the scaled values, a missing one replaced by the last that is there or by the mean; with `masked` also 1
    where a value is there, and the time since it last was; with `interval` also the time since the step before. Times
    are log(1 + t), in units of the interval.

    Those of channels that are known in advance (`Channels.ahead`) are of the next step, and NaN at the last one.

    Args:
        values: (T, C), NaN where missing.
        times: (T,); None: steps are at equal distances.
        channels: of the training split.

    Returns:
        (T, I), float64.
    """
    scaled = scale(values, channels)
    present = ~scaled.isnan()
    steps = torch.arange(len(values))[:, None].expand_as(scaled)
    last = steps.masked_fill(~present, -1).cummax(0).values  # the step of the last value, -1: none so far
    parts = [scaled.gather(0, last.clamp(min=0)).masked_fill(last < 0, 0.0)]
    unit = channels.interval or (float(times.diff().median()) if times is not None and len(times) > 1 else 1.0)
    clock = torch.arange(len(values)).double() if times is None else (times - times[0]) / unit
    if channels.masked:
        before = F.pad(last[:-1], (0, 0, 1, 0), value=0).clamp(min=0)  # the last value before this step
        parts += [present.double(), torch.log1p(clock[:, None] - clock[before])]
    if channels.interval is not None:
        parts.append(torch.log1p(F.pad(clock.diff(), (1, 0)))[:, None])
    inputs = torch.cat(parts, 1)
    if channels.ahead:
        count = len(channels.names)
        blocks = range(0, 3 * count if channels.masked else count, count)
        columns = [block + place for block in blocks for place in range(count - channels.ahead, count)]
        inputs[:, columns] = F.pad(inputs[1:, columns], (0, 0, 0, 1), value=torch.nan)
    return inputs


def between_windows(series: Sequence[Tensor], window: int) -> float:
    """The share of the variance of series that is between windows: near 1 where levels wander, differ, or grow.

    Args:
        series: (T, D) each, NaN where missing.
        window: number of steps.

    Returns:
        The mean of the channels; 0 for those that do not vary.
    """
    windows = [part for values in series for part in values.split(window)]
    counts = torch.stack([(~part.isnan()).sum(0) for part in windows])
    means = torch.stack([part.nan_to_num().sum(0) for part in windows]) / counts.clamp(min=1)
    total = counts.sum(0).clamp(min=1)
    center = (means * counts).sum(0) / total
    between = ((means - center).square() * counts).sum(0) / total
    steps = torch.cat([*series])
    variance = (steps - center).nan_to_num().square().sum(0) / total
    return float(torch.where(variance > 0, between / variance, torch.zeros_like(variance)).mean())


def relative(inputs: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """A row whose first `size` inputs are relative to those of its first step, and the values of these.

    A network that reads levels meets unknown ones in a series that grows or wanders.

    Args:
        inputs: (T, I).
        size: D.

    Returns:
        (T, I), and (D,).
    """
    levels = inputs[0, :size].clone()
    inputs = inputs.clone()
    inputs[:, :size] -= levels
    return inputs, levels


def scale(values: Tensor, channels: Channels) -> Tensor:
    """Measurements (..., C) in the units of the model."""
    return (values - values.new_tensor(channels.means)) / values.new_tensor(channels.scales)
