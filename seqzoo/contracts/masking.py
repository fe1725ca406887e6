"""Masks, means, softmax and cross-entropy over the real steps of padded batches; lengths None: all steps are real."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.transforms import jit_traced, transformed

WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
IGNORED = -100
"""The target at steps without one; the default `ignore_index` of torch's losses."""


def mask(lengths: Tensor, steps: int) -> Tensor:
    """(B,) -> (B, T), True where a step is real."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def checked_lengths(lengths: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
    """Check the lengths of the rows of an input and convert them to int64.

    Args:
        lengths: integers from 0 to T, shape (B,). On a GPU, and under tracing or transformations, values are
            clamped to that range instead of checked, because reading them would synchronise or is impossible.
        shape: shape of the input, (B, T, ...).
        device: device of the input.

    Returns:
        Lengths, int64, shape (B,).

    Raises:
        ValueError: wrong type, shape, range or device.
    """
    if not isinstance(lengths, Tensor):
        raise ValueError(f"lengths are a {type(lengths).__name__}: they must be a tensor of integers, one per row")
    if lengths.dtype not in WHOLE_NUMBERS:
        raise ValueError(f"lengths are {lengths.dtype}: they must be integers, such as torch.int64")
    if jit_traced():
        return lengths.long()
    rows, steps = shape[:2]
    if lengths.shape != (rows,):
        raise ValueError(
            f"lengths have shape {tuple(lengths.shape)}: it must be ({rows},), a length for each row of the input"
        )
    if lengths.device != device:
        raise ValueError(f"lengths are on {lengths.device} and the input on {device}: move one to the other")
    lengths = lengths.long()
    if lengths.device.type != "cpu" or transformed():
        return lengths.clamp(0, steps)
    smallest, largest = (int(end) for end in lengths.aminmax()) if rows else (0, 0)
    if smallest < 0 or largest > steps:
        outside = smallest if smallest < 0 else largest
        raise ValueError(f"lengths contain {outside}: the input has {steps} steps, so they must be 0 to {steps}")
    return lengths


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, ...) with padded steps set to zero, whatever their values, NaN included, and without gradient there."""
    if lengths is None:
        return x
    return x.masked_fill(~mask(lengths, x.shape[1]).view(*x.shape[:2], *[1] * (x.dim() - 2)), 0)


def mean_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, F), the mean over time; zero for a row without real steps."""
    if lengths is None:
        return outputs.mean(1)
    return zero_padding(outputs, lengths).sum(1) / lengths.clamp(min=1)[:, None]


def largest_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, F), the maximum over time; zero for a row without real steps."""
    if lengths is not None:
        padded = ~mask(lengths, outputs.shape[1])
        outputs = outputs.masked_fill(padded[..., None], float("-inf")).masked_fill((lengths < 1)[:, None, None], 0)
    return outputs.amax(1)


def softmax_over(scores: Tensor, real: Tensor | None) -> Tensor:
    """Softmax over the real steps.

    Args:
        scores: shape (..., S).
        real: True at real steps, broadcastable to the shape of `scores`; None: all steps are real.

    Returns:
        Weights (..., S) that sum to 1 over the real steps and are 0 elsewhere; all 0 where no step is real.
    """
    if real is None:
        return scores.softmax(-1)
    # the lowest number in place of -inf: without a real step, a softmax over -inf is NaN, and so is its gradient
    weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(~real, 0)


def ignore_padding(targets: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) -> (B, T), IGNORED at padded steps. Selecting the real ones would make a GPU wait for their number."""
    return targets.masked_fill(~mask(lengths, targets.shape[1]), IGNORED)


def cross_entropy(scores: Tensor, targets: Tensor, lengths: Tensor | None, label_smoothing: float = 0.0) -> Loss:
    """Cross-entropy over the real steps that have a target.

    Args:
        scores: logits, shape (B, T, K).
        targets: class ids, shape (B, T); IGNORED at steps without one.
        lengths: number of real steps of each row, shape (B,); None: all steps are real.
        label_smoothing: share of the target's probability that is spread over all K classes.

    Returns:
        The sum in nats and the number of targets.
    """
    if lengths is not None:
        scores, targets = zero_padding(scores, lengths), ignore_padding(targets, lengths)
    # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
    total = F.cross_entropy(
        scores.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return Loss(total, (targets != IGNORED).sum())
