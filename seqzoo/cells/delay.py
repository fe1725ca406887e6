"""Delay lines: what cells share that remember their last inputs as they were."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def convolve(line: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, p - 1 + T, I) and (O, I, p) -> (B, T, O): the sum over k of W_k x_{t-k}.

    Steps lie in their order, the newest last, in the line as in the weights: W_k is weight[:, :, p - 1 - k].
    """
    return F.conv1d(line.transpose(1, 2), weight, bias).transpose(1, 2)


def weigh(window: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, p, I) and (O, I, p) -> (B, O): the same for one step."""
    return F.linear(window.transpose(1, 2).flatten(1), weight.flatten(1), bias)


def kept(line: Tensor, size: int, lengths: Tensor | None) -> Tensor:
    """(B, size + T, I), the line before and all steps -> (B, size, I), the line after each row's last real step."""
    if lengths is None:
        return line[:, line.shape[1] - size :]
    index = lengths[:, None] + torch.arange(size, device=line.device)
    return line.gather(1, index[..., None].expand(-1, -1, line.shape[2]))
