"""The reference implementation: a cell step by step. All engines are tested against it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.state import where
from seqzoo.kernels.stepping import Stepping


def reference(cell: Stepping, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
    """`Cell.scan` step by step."""
    state = cell.initial_state(x.shape[0]) if state is None else state
    return unroll(cell.step, cell.project(zero_padding(x, lengths)), state, lengths)


def unroll(
    step: Callable[[Tensor, State], tuple[Tensor, State]], projected: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """Run `step` over time.

    Args:
        step: projected input (B, P) and state -> output (B, O) and next state.
        projected: shape (B, T, P). It must be finite at padded steps, too: these are computed, and their result is
            masked.
        state: initial state.
        lengths: number of real steps of each row, shape (B,); None: all steps are real.

    Returns:
        Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.
    """
    outputs = []
    # unbind: the gradient of each slice would be as long as the sequence, quadratic in total
    for t, p in enumerate(projected.unbind(1)):
        output, following = step(p, state)
        if lengths is not None:
            real = lengths > t
            output, following = where(real, (output, following), (torch.zeros_like(output), state))
        outputs.append(output)
        state = following
    return torch.stack(outputs, dim=1), state
