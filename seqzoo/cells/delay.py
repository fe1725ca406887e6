"""Delay lines, for cells whose state contains their last inputs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def convolve(line: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The sum over k of W_k x_{t-k} at every step: line (B, p - 1 + T, I) and weight (O, I, p) -> (B, T, O).

    The newest step is the last one, in the line and in the weights: W_k is weight[:, :, p - 1 - k].
    """
    return F.conv1d(line.transpose(1, 2), weight, bias).transpose(1, 2)


def weigh(window: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`convolve` for one step: window (B, p, I) and weight (O, I, p) -> (B, O)."""
    return F.linear(window.transpose(1, 2).flatten(1), weight.flatten(1), bias)


def kept(line: Tensor, size: int, lengths: Tensor | None) -> Tensor:
    """The delay line after each row's last real step: the old line and all steps (B, size + T, I) -> (B, size, I)."""
    if lengths is None:
        return line[:, line.shape[1] - size :]
    index = lengths[:, None] + torch.arange(size, device=line.device)
    return line.gather(1, index[..., None].expand(-1, -1, line.shape[2]))
