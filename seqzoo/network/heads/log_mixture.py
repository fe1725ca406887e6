"""The shares of two classifiers in their common answer, fitted on held-out examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EQUAL = (0.5, 0.5)
PRIOR = 5.0
"""The squared distance from equal shares counts as the loss of this many examples, in nats."""


def fit_shares(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """The shares (2,) of two classifiers with which the product of their probabilities, each to the power of its share,
    is most probable for held-out targets. A classifier that is too sure of its answers receives a small share, and both
    may be small. The problem is convex.

    Args:
        log_probabilities: of both, (N, K, 2).
        targets: (N,).

    Source: Heskes, Selecting Weighting Factors in Logarithmic Opinion Pools, 1997,
    https://proceedings.neurips.cc/paper/1997/hash/36ac8e558ac7690b6f44e2cb5ef93322-Abstract.html
    """
    values = log_probabilities.double().clamp(min=-1e4)  # impossible classes would have no gradient
    shares = torch.tensor(EQUAL, dtype=torch.double, device=values.device, requires_grad=True)
    equal = shares.detach().clone()
    optimizer = torch.optim.LBFGS([shares], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = F.cross_entropy(values @ shares, targets, reduction="sum") + PRIOR * (shares - equal).square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    fitted = shares.detach().clamp(min=0)
    return fitted if fitted.isfinite().all() and fitted.any() else equal
