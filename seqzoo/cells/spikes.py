"""The spike of a neuron: a step function whose derivative is replaced by one that is not zero.

Source: Esser et al., Convolutional Networks for Fast, Energy-Efficient Neuromorphic Computing, 2016 (the triangle),
https://doi.org/10.1073/pnas.1604850113
"""

from __future__ import annotations

import torch
from torch import Tensor


def smooth(u: Tensor, dampening: float) -> Tensor:
    """A smooth step from 0 to `dampening`, whose derivative is dampening * max(0, 1 - |u|)."""
    return dampening * torch.where(u < 0, (1 + u).relu().square() / 2, 1 - (1 - u).relu().square() / 2)


def spike(u: Tensor, dampening: float) -> Tensor:
    """1 where u > 0, else 0, with the derivative of `smooth`."""
    below = smooth(u, dampening)
    return u.sign().relu() + (below - below.detach())
