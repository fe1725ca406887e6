"""The linear recurrence h_t = a_t * h_{t-1} + b_t, elementwise, over all steps at once.

The steps are cut into chunks that run side by side: each chunk first finds what it does to whatever state comes in (a
product and a sum), a scan of the same kind over the chunks then gives each its first state, and all run again from
there. 1,024 steps are about 130 operations in a row instead of 1,024; 16,384 are about 190. Only products and sums
occur, no quotient and no logarithm, so that nothing overflows or cancels that would not in a loop. On a GPU with Triton
the same is one kernel, or three (`linear_scan_triton.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqzoo.contracts.masking import mask

LONGEST_CHUNK = 32
# so few steps are as fast one after the other
SHORT = 64
# and on a CPU so many bytes a step: then the arithmetic takes the time, of which chunks need twice as much
WIDE = 16 * 1024


def linear_scan(a: Tensor, b: Tensor, h: Tensor, lengths: Tensor | None = None) -> Tensor:
    """a, b: (B, T, ...), h: (B, ...), real or complex -> the states after every step, (B, T, ...).

    Past its length a row keeps its state (up to rounding), so that the last step holds everybody's last state.
    Derivatives of any order; memory for the backward pass is that of a and of the result.
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), h.dtype)
    a, b = torch.broadcast_tensors(a.to(dtype), b.to(dtype))
    if lengths is not None:
        real = mask(lengths, b.shape[1]).view(*b.shape[:2], *[1] * (b.dim() - 2))
        a, b = torch.where(real, a, 1), torch.where(real, b, 0)
    return _Scan.apply(a, b, h.to(dtype), False)


class _Scan(torch.autograd.Function):
    """backward: the gradient of the states obeys the same recurrence, from the last step to the first."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, h: Tensor, backwards: bool) -> Tensor:
        return _scan(a.resolve_conj(), b.resolve_conj(), h.resolve_conj(), backwards)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        a, _, h, ctx.backwards = inputs
        ctx.save_for_backward(a, h, output)
        ctx.save_for_forward(a, h, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        a, h, states = ctx.saved_tensors
        if not states.shape[1]:  # what is left of one step, in second derivatives
            return torch.zeros_like(a), gradient, torch.zeros_like(h), None
        a = a.conj()
        if ctx.backwards:
            later = _Scan.apply(a[:, :-1], gradient[:, 1:], gradient[:, 0], False)
            of_b = torch.cat([gradient[:, :1], later], dim=1)
            of_h = a[:, -1] * of_b[:, -1]
        else:
            earlier = _Scan.apply(a[:, 1:], gradient[:, :-1], gradient[:, -1], True)
            of_b = torch.cat([earlier, gradient[:, -1:]], dim=1)
            of_h = a[:, 0] * of_b[:, 0]
        return of_b * _before(states, h, ctx.backwards).conj(), of_b, of_h, None

    @staticmethod
    def jvp(ctx: Any, of_a: Tensor, of_b: Tensor, of_h: Tensor, _: None) -> Tensor:
        a, h, states = ctx.saved_tensors
        return _Scan.apply(a, of_b + of_a * _before(states, h, ctx.backwards), of_h, ctx.backwards)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, a: Tensor, b: Tensor, h: Tensor, backwards: bool) -> tuple[Tensor, int]:
        """One more batch dimension joins the rows."""
        size = info.batch_size
        a, b, h = (
            (part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)).flatten(0, 1)
            for part, dim in zip((a, b, h), in_dims, strict=False)
        )
        return _Scan.apply(a, b, h, backwards).unflatten(0, (size, -1)), 0


def _before(states: Tensor, h: Tensor, backwards: bool) -> Tensor:
    """The state that each step started from."""
    if backwards:
        return torch.cat([states[:, 1:], h[:, None]], dim=1)
    return torch.cat([h[:, None], states[:, :-1]], dim=1)


def _scan(a: Tensor, b: Tensor, h: Tensor, backwards: bool) -> Tensor:
    """Without derivatives; `backwards` from the last step to the first."""
    kernel = _kernel() if b.is_cuda else None
    if kernel is not None:
        return kernel(a, b, h, backwards)
    states = b.new_empty(b.shape)
    steps, order = b.shape[1], -1 if backwards else 1
    length = min(LONGEST_CHUNK, math.isqrt(steps))
    one_by_one = steps <= SHORT or (not b.is_cuda and h.numel() * h.element_size() >= WIDE)
    chunks = 0 if one_by_one else steps // length
    rest = steps - chunks * length
    # the steps that no chunk holds come last, which is first in time where the scan goes backwards
    together = slice(rest, None) if backwards else slice(steps - rest)
    alone = slice(rest) if backwards else slice(steps - rest, None)
    if chunks:
        # step i of every chunk, (B, chunks, ...) each
        a_steps, b_steps, places = (
            part[:, together].unflatten(1, (chunks, length)).unbind(2)[::order] for part in (a, b, states)
        )
        product, end = a_steps[0], b_steps[0]
        for a_step, b_step in zip(a_steps[1:], b_steps[1:], strict=True):
            product, end = product * a_step, torch.addcmul(b_step, a_step, end)
        ends = _scan(product, end, h, backwards)
        _loop(a_steps, b_steps, _before(ends, h, backwards), places)
        h = ends[:, 0 if backwards else -1]
    a_steps, b_steps, places = (part[:, alone].unbind(1)[::order] for part in (a, b, states))
    _loop(a_steps, b_steps, h, places)
    return states


def _loop(a: Sequence[Tensor], b: Sequence[Tensor], h: Tensor, states: Sequence[Tensor]) -> None:
    """One step after the other, written into `states`."""
    for a_step, b_step, state in zip(a, b, states, strict=True):
        h = torch.addcmul(b_step, a_step, h, out=state)


@functools.cache
def _kernel() -> Callable[..., Tensor] | None:
    """Triton's, where it is installed and can be built: it is tried once."""
    try:
        from seqzoo.kernels.linear_scan_triton import scan

        for dtype in (torch.float32, torch.complex64):
            ones = torch.ones(1, 3, 1, dtype=dtype, device="cuda")
            if not torch.equal(scan(ones, ones, ones[:, 0], False).real.flatten().cpu(), torch.tensor([2.0, 3.0, 4.0])):
                return None
    except Exception:  # of whatever Triton calls: a compiler, a driver
        return None
    return scan
