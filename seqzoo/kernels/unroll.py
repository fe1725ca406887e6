"""The reference implementation: a cell step by step. All engines are tested against it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.state import flatten, unflatten, where
from seqzoo.contracts.transforms import exported
from seqzoo.kernels import step_results
from seqzoo.kernels.stepping import Stepping


def reference(cell: Stepping, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
    """`Cell.scan` step by step."""
    state = step_results.first_state(cell, x.shape[0]) if state is None else state
    projected = step_results.project(cell, zero_padding(x, lengths))
    first_step = functools.partial(step_results.step, cell)
    step = functools.partial(step_results.step, cell, with_types=False)
    return unroll(step, projected, state, lengths, first_step)


def unroll(
    step: Callable[[Tensor, State], tuple[Tensor, State]],
    projected: Tensor,
    state: State,
    lengths: Tensor | None,
    first_step: Callable[[Tensor, State], tuple[Tensor, State]] | None = None,
) -> tuple[Tensor, State]:
    """Run `step` over time.

    Args:
        step: projected input (B, P) and state -> output (B, O) and next state.
        projected: shape (B, T, P). It must be finite at padded steps, too: these are computed, and their result is
            masked.
        state: initial state.
        lengths: number of real steps of each row, shape (B,); None: all steps are real.
        first_step: `step` with more checks, for the first step; None: `step`.

    Returns:
        Outputs (B, T, O), zero at padded steps, and the state after each row's last real step.
    """
    if exported() and not torch.is_grad_enabled():  # the operator is exported without gradients alone
        return _as_one_operator(step, projected, state, lengths)
    outputs = []
    run = first_step or step
    # unbind: the gradient of each slice would be as long as the sequence, quadratic in total
    for t, p in enumerate(projected.unbind(1)):
        output, following = run(p, state)
        run = step
        if lengths is not None:
            real = lengths > t
            output, following = where(real, (output, following), (torch.zeros_like(output), state))
        outputs.append(output)
        state = following
    return torch.stack(outputs, dim=1), state


def _as_one_operator(
    step: Callable[[Tensor, State], tuple[Tensor, State]], projected: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """`unroll` as one operator of the exported program, so that its number of steps is not fixed."""

    def advance(before: list[Tensor], now: tuple[Tensor, Tensor]) -> tuple[list[Tensor], Tensor]:
        p, t = now
        carried = unflatten(before, state)
        output, following = step(p, carried)
        if lengths is not None:
            output, following = where(lengths > t, (output, following), (torch.zeros_like(output), carried))
        # the operator does not allow that its results share memory
        return [part.clone() for part in flatten(following)], output.clone()

    times = torch.arange(projected.shape[1], device=projected.device)
    last, outputs = scan(advance, [part.clone() for part in flatten(state)], (projected.transpose(0, 1), times))
    return outputs.transpose(0, 1), unflatten(list(last), state)
