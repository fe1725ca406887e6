"""The reference: a step after the other. Every faster way over a sequence is held to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.state import where
from seqzoo.kernels.stepping import Stepping


def reference(cell: Stepping, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
    """As `Cell.scan`, a step after the other."""
    state = cell.initial_state(x.shape[0]) if state is None else state
    return unroll(cell.step, cell.project(zero_padding(x, lengths)), state, lengths)


def unroll(
    step: Callable[[Tensor, State], tuple[Tensor, State]], projected: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """projected: (B, T, P) -> (B, T, O) and the state after each row's last real step; a padded step outputs zero.

    What is projected must be finite at padded steps, too: their steps are taken, with gradients, and not used.
    """
    outputs = []
    # unbind: the gradients of slices, each as long as the sequence, would take its square
    for t, p in enumerate(projected.unbind(1)):
        output, following = step(p, state)
        if lengths is not None:
            real = lengths > t
            output, following = where(real, (output, following), (torch.zeros_like(output), state))
        outputs.append(output)
        state = following
    return torch.stack(outputs, dim=1), state
