"""Dropout, and dropout with one mask for all steps of a sequence.

Source: Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, 2016,
https://arxiv.org/abs/1512.05287
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LockedDropout(nn.Module):
    """Dropout on (B, T, F) with one mask for all steps of a row (variational dropout).

    Args:
        p: probability of a zero.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.p)


def create_dropout(rate: float, locked: bool = False) -> nn.Module:
    """Create element-wise dropout, or `LockedDropout`.

    Args:
        rate: probability of a zero.
        locked: one mask for all steps of a row.

    Raises:
        ValueError: the rate is not a probability below 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout is {rate}: it is a probability, 0 <= dropout < 1")
    return LockedDropout(rate) if locked else nn.Dropout(rate)
