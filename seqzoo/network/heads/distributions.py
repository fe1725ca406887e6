"""Heads whose outputs are distributions of a vector of numbers: quantiles, or a mixture of Gaussians."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

QUANTILES = 9
"""Number of quantiles by which a distribution is described, at the levels 0.1, 0.2, ..., 0.9."""
NARROWEST = 1e-3
"""Least standard deviation of a Gaussian, so that a density stays finite on constant series."""


def levels(count: int = QUANTILES) -> list[float]:
    """The levels of equally spaced quantiles: 0.1, 0.2, ..., 0.9 for nine of them."""
    return [rank / (count + 1) for rank in range(1, count + 1)]


class DistributionHead(nn.Module):
    """A distribution of a vector of D numbers for each feature vector.

    Attributes:
        loss_unit: of `loss`, as of a task.
    """

    loss_unit: str

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """The parameters of the distributions: (..., F) -> (..., P)."""

    @abstractmethod
    def loss(self, parameters: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """The loss of each vector, (...); zero where nothing of it is known.

        Args:
            parameters: from `forward`, (..., P).
            targets: (..., D).
            known: (..., D), False where a target is missing.
        """

    @abstractmethod
    def shifted(self, parameters: Tensor, values: Tensor) -> Tensor:
        """The parameters of the distributions of the numbers plus values (..., D)."""

    @abstractmethod
    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """A draw from each distribution: (..., P) -> (..., D); generator: on the CPU."""


class QuantileHead(DistributionHead):
    """Quantiles of each number, trained by the pinball loss. The loss is twice its mean over the levels, an
    approximation of the continuous ranked probability score.

    Quantiles that cross are sorted. Between them, and as far again beyond the outer ones, a draw is uniform.

    Args:
        feature_size: F.
        output_size: D.

    Source: Koenker & Bassett, Regression Quantiles, 1978, https://doi.org/10.2307/1913643
    Chernozhukov, Fernandez-Val & Galichon, Quantile and Probability Curves Without Crossing, 2010 (sorting),
    https://doi.org/10.3982/ECTA7880
    """

    loss_unit = ""
    levels: Tensor

    def __init__(self, feature_size: int, output_size: int):
        super().__init__()
        self.linear = nn.Linear(feature_size, output_size * QUANTILES)
        self.register_buffer("levels", torch.tensor(levels()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)

    def loss(self, parameters: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        errors = targets.masked_fill(~known, 0.0)[..., None] - self._by_number(parameters)
        pinball = torch.maximum(self.levels * errors, (self.levels - 1) * errors)
        return (2 * pinball.mean(-1)).masked_fill(~known, 0.0).sum(-1)

    def shifted(self, parameters: Tensor, values: Tensor) -> Tensor:
        return (self._by_number(parameters) + values[..., None]).flatten(-2)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        quantiles = self._by_number(parameters).sort(-1).values
        first, last = 2 * quantiles[..., :1] - quantiles[..., 1:2], 2 * quantiles[..., -1:] - quantiles[..., -2:-1]
        quantiles = torch.cat([first, quantiles, last], -1)  # the levels 0, 0.1, ..., 1
        rank = torch.rand(quantiles.shape[:-1], generator=generator).to(quantiles) * (QUANTILES + 1)
        below = rank.long().clamp(max=QUANTILES)[..., None]
        low, high = quantiles.gather(-1, below)[..., 0], quantiles.gather(-1, below + 1)[..., 0]
        return low + (high - low) * (rank - below[..., 0])

    @staticmethod
    def _by_number(parameters: Tensor) -> Tensor:
        return parameters.unflatten(-1, (-1, QUANTILES))


class MixtureHead(DistributionHead):
    """A mixture of Gaussians with diagonal covariances (a mixture density network), trained by the likelihood, in nats.

    Args:
        feature_size: F.
        output_size: D.
        components: K, number of Gaussians.

    Source: Bishop, Mixture Density Networks, 1994, https://publications.aston.ac.uk/id/eprint/373
    Graves, Generating Sequences With Recurrent Neural Networks, 2013 (fed by its own draws),
    https://arxiv.org/abs/1308.0850
    """

    loss_unit = "nats"

    def __init__(self, feature_size: int, output_size: int, components: int):
        super().__init__()
        self.components, self.output_size = components, output_size
        self.linear = nn.Linear(feature_size, components * (1 + 2 * output_size))
        nn.init.normal_(self.linear.bias[components : components * (1 + output_size)])  # different means

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(features)

    @property
    def _sizes(self) -> list[int]:
        """The numbers of log-weights, means and deviations."""
        return [self.components, *[self.components * self.output_size] * 2]

    def parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights (..., K), means and standard deviations (..., K, D)."""
        shape = (self.components, self.output_size)
        weights, means, deviations = parameters.split(self._sizes, -1)
        deviations = F.softplus(deviations.unflatten(-1, shape)) + NARROWEST
        return weights.log_softmax(-1), means.unflatten(-1, shape), deviations

    def loss(self, parameters: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        weights, means, deviations = self.parts(parameters)
        distances = (targets.masked_fill(~known, 0.0)[..., None, :] - means) / deviations
        densities = -0.5 * distances.square() - deviations.log() - 0.5 * math.log(2 * math.pi)
        densities = densities.masked_fill(~known[..., None, :], 0.0).sum(-1)
        return -(weights + densities).logsumexp(-1)

    def shifted(self, parameters: Tensor, values: Tensor) -> Tensor:
        weights, means, deviations = parameters.split(self._sizes, -1)
        means = means.unflatten(-1, (self.components, self.output_size)) + values[..., None, :]
        return torch.cat([weights, means.flatten(-2), deviations], -1)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        weights, means, deviations = self.parts(parameters)
        uniform = torch.rand(weights.shape, generator=generator).to(weights)
        chosen = (weights - (-uniform.clamp(min=1e-12).log()).log()).argmax(-1)  # the Gumbel trick
        index = chosen[..., None, None].expand(*chosen.shape, 1, self.output_size)
        noise = torch.randn(index.shape, generator=generator).to(weights)
        return (means.gather(-2, index) + deviations.gather(-2, index) * noise)[..., 0, :]
