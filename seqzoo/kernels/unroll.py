"""The reference: a step after the other. Every faster way over a sequence is held to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts import State
from seqzoo.state import where


def unroll(
    step: Callable[[Tensor, State], tuple[Tensor, State]], projected: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """projected: (B, T, P) -> (B, T, O) and the state after each row's last real step; a padded step outputs zero."""
    outputs = []
    for t in range(projected.shape[1]):
        output, following = step(projected[:, t], state)
        if lengths is not None:
            real = lengths > t
            output, following = output * real[:, None], where(real, following, state)
        outputs.append(output)
        state = following
    return torch.stack(outputs, dim=1), state
