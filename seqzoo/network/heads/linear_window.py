"""A linear model of the last inputs, as an addition to a network's predictions of the next ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PENALTIES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Factors of the squared weights in a ridge regression, relative to the number of targets."""
MOST_FEATURES = 1_000
"""Of a ridge regression."""
MOST_TARGETS = 200_000
"""Targets that a ridge regression of a window reads."""

Rows = tuple[Tensor, Tensor, Tensor]
"""Inputs (B, T, I), their next values (B, T, D), and which of these are known, (B, T)."""


class LinearWindow(nn.Module):
    """Predicts D numbers from the last W inputs, those before a row being like its first one.

    At first it predicts the last value of the first D inputs (persistence). `fit` sets its weights, which are not
    trained by gradients.

    Args:
        input_size: I, at least D.
        output_size: D.
        steps: W.

    Source: Lai, Chang, Yang & Liu, Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks, 2018 (the
    autoregressive part of LSTNet), https://arxiv.org/abs/1703.07015
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, input_size: int, output_size: int, steps: int):
        super().__init__()
        self.steps = steps
        weight = torch.zeros(output_size, input_size, steps)
        weight[:, :output_size, -1] = torch.eye(output_size)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.zeros(output_size))

    def forward(self, inputs: Tensor) -> Tensor:
        """The predictions at each step.

        Args:
            inputs: (B, T, I), finite in the padding, too.

        Returns:
            (B, T, D).
        """
        earlier = inputs[:, :1].expand(-1, self.steps - 1, -1)
        weight, bias = self.weight.to(inputs.dtype), self.bias.to(inputs.dtype)
        return F.conv1d(torch.cat([earlier, inputs], 1).mT, weight, bias).mT

    def last_inputs(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The last W inputs of each row.

        Args:
            inputs: (B, T, I).
            lengths: (B,), at least 1.

        Returns:
            (B, W, I).
        """
        steps = lengths[:, None] + torch.arange(-self.steps, 0, device=lengths.device)
        return inputs.gather(1, steps.clamp(min=0)[..., None].expand(-1, -1, inputs.shape[-1]))

    def after(self, window: Tensor) -> Tensor:
        """The prediction (B, D) after a window (B, W, I)."""
        return torch.einsum("bwi,diw->bd", window, self.weight.to(window.dtype)) + self.bias.to(window.dtype)

    @torch.no_grad()
    def fit(self, rows: Iterable[Rows], error: Callable[[], float]) -> None:
        """Fit ridge regressions of windows of W steps and less, and keep the one with the smallest error; persistence
        if no row is as long as a window.

        Large penalties lead to zero or to persistence; which of them is better, depends on the series.

        Args:
            rows: for training.
            error: the error with the current weights, such as that of forecasts of held-out rows.
        """
        outputs, inputs, _ = self.weight.shape
        persistence = self.weight[..., -1].clone()
        sizes = [steps for steps in window_sizes(self.steps) if steps == 1 or steps * inputs < MOST_FEATURES]
        systems = normal_equations(rows, sizes)
        best, lowest = (self.weight.clone(), self.bias.clone()), error()
        for (steps, system), penalty, last in product(systems.items(), PENALTIES, (0.0, 1.0)):
            prior = system.squares.new_zeros(inputs, steps, outputs)
            prior[:, -1] = last * persistence.T
            solved = system.solution(penalty, F.pad(prior.flatten(0, 1), (0, 0, 0, 1)))
            self.weight.zero_()
            self.weight[..., -steps:] = solved[:-1].unflatten(0, (inputs, steps)).movedim(2, 0)
            self.bias.copy_(solved[-1])
            if (reached := error()) < lowest:
                best, lowest = (self.weight.clone(), self.bias.clone()), reached
        self.weight.copy_(best[0])
        self.bias.copy_(best[1])


@dataclass(frozen=True)
class System:
    """The normal equations of a linear regression whose last feature is the constant.

    Args:
        squares: sums of products of features, (F, F).
        products: sums of products of features and targets, (F, D).
        count: number of targets.
    """

    squares: Tensor
    products: Tensor
    count: int

    @classmethod
    def of(cls, features: Tensor, targets: Tensor) -> System:
        """The equations for features (N, F - 1), to which the constant is added, and targets (N, D), in float64."""
        features, targets = F.pad(features.double(), (0, 1), value=1.0), targets.double()
        return cls(features.T @ features, features.T @ targets, len(features))

    def __add__(self, other: System) -> System:
        return System(self.squares + other.squares, self.products + other.products, self.count + other.count)

    def solution(self, penalty: float, prior: Tensor | None = None) -> Tensor:
        """The weights (F, D) of the ridge regression.

        Args:
            penalty: factor of the squared distance from `prior`, relative to the number of targets; the constant is not
                penalised.
            prior: (F, D); None: zero.
        """
        penalties = torch.full((len(self.squares),), penalty * self.count, dtype=torch.double)
        penalties[-1] = 1e-9
        rest = self.products if prior is None else self.products - self.squares @ prior
        solved = torch.linalg.solve(self.squares + penalties.diag(), rest)
        return solved if prior is None else solved + prior


def window_sizes(longest: int) -> Sequence[int]:
    """1, 2, 4, ... and the longest itself."""
    return [*(2**power for power in range((longest - 1).bit_length())), longest]


def normal_equations(rows: Iterable[Rows], sizes: Iterable[int]) -> dict[int, System]:
    """The normal equations for windows of several sizes, from complete windows alone; none where there is no window.

    Args:
        rows: for training.
        sizes: numbers of steps.
    """
    systems: dict[int, System] = {}
    for inputs, targets, known in rows:
        for steps in sizes:
            before = systems.get(steps)
            if steps > inputs.shape[1] or (before is not None and before.count >= MOST_TARGETS):
                continue
            at = known[:, steps - 1 :]
            system = System.of(inputs.unfold(1, steps, 1).flatten(2)[at], targets[:, steps - 1 :][at])
            if system.count:
                systems[steps] = system if before is None else before + system
    return systems
