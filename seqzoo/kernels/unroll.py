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
    # unbind: the gradients of slices, each as long as the sequence, would take its square
    for t, p in enumerate(projected.unbind(1)):
        output, following = step(p, state)
        if lengths is not None:
            real = lengths > t
            output, following = output * real[:, None], where(real, following, state)
        outputs.append(output)
        state = following
    return torch.stack(outputs, dim=1), state
