"""What is made of real steps alone, from lengths; where these are None, all steps are real."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.transforms import transformed

WHOLE_NUMBERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
IGNORED = -100
"""Instead of a target: none is wanted. torch's own losses know the number."""


def mask(lengths: Tensor, steps: int) -> Tensor:
    """(B,) -> (B, T), True where a step is real."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def checked_lengths(lengths: Tensor, shape: Sequence[int], device: torch.device, least: int = 0) -> Tensor:
    """The lengths of the rows of an input as int64.

    Args:
        lengths: whole numbers from `least` to T, shape (B,). Values on a GPU, and where torch transforms what is
            computed, are clamped to that range: to look at them would mean to wait, or cannot be.
        shape: of the input, (B, T, ...).
        device: of the input.
        least: smallest length that makes sense.

    Raises:
        ValueError: lengths are not whole numbers in that range, not one a row, or on another device.
    """
    if not isinstance(lengths, Tensor):
        raise ValueError(f"lengths are a {type(lengths).__name__}: they must be a tensor of whole numbers, one per row")
    if lengths.dtype not in WHOLE_NUMBERS:
        raise ValueError(f"lengths are {lengths.dtype}: they must be whole numbers, such as torch.int64")
    if torch.jit.is_tracing():
        return lengths.long()
    rows, steps = shape[:2]
    if lengths.shape != (rows,):
        raise ValueError(f"lengths are {tuple(lengths.shape)}: the input has {rows} rows, a length each")
    if lengths.device != device:
        raise ValueError(f"lengths are on {lengths.device} and the input on {device}: move one to the other")
    lengths = lengths.long()
    if lengths.device.type != "cpu" or transformed():
        return lengths.clamp(least, steps)
    smallest, largest = (int(end) for end in lengths.aminmax()) if rows else (least, least)
    if smallest < least or largest > steps:
        wrong = smallest if smallest < least else largest
        raise ValueError(f"lengths have {wrong}: the input has {steps} steps, so that they must be {least} to {steps}")
    return lengths


def zero_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, ...) with zero at padded steps, whatever stood there, NaN included; no gradient passes these."""
    if lengths is None:
        return x
    return x.masked_fill(~mask(lengths, x.shape[1]).view(*x.shape[:2], *[1] * (x.dim() - 2)), 0)


def mean_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, F); zero for a row without real steps."""
    if lengths is None:
        return outputs.mean(1)
    return zero_padding(outputs, lengths).sum(1) / lengths.clamp(min=1)[:, None]


def largest_of(outputs: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, T, F) -> (B, F), the largest of each feature; zero for a row without real steps."""
    if lengths is not None:
        padded = ~mask(lengths, outputs.shape[1])
        outputs = outputs.masked_fill(padded[..., None], float("-inf")).masked_fill((lengths < 1)[:, None, None], 0)
    return outputs.amax(1)


def softmax_over(scores: Tensor, real: Tensor | None) -> Tensor:
    """(..., S) -> (..., S) weights that sum to 1 over the real steps; zero elsewhere, and where no step is real.

    real: what `scores` can be broadcast with, True where a step is; None: all are.
    """
    if real is None:
        return scores.softmax(-1)
    # the lowest number in place of -inf: without a real step, a softmax over -inf is NaN, and so is its gradient
    weights = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(~real, 0)


def ignore_padding(targets: Tensor, lengths: Tensor) -> Tensor:
    """(B, T) -> (B, T), IGNORED at padded steps. Leaving those out, a GPU would have to wait for their number."""
    return targets.masked_fill(~mask(lengths, targets.shape[1]), IGNORED)


def cross_entropy(scores: Tensor, targets: Tensor, lengths: Tensor | None, label_smoothing: float = 0.0) -> Loss:
    """scores: (B, T, K), targets: (B, T) -> nats summed over the real steps, and how many; lengths None: all are.

    label_smoothing: share of the right answer's probability that is spread over all K.
    """
    if lengths is not None:
        scores, targets = zero_padding(scores, lengths), ignore_padding(targets, lengths)
        count = lengths.sum()
    else:
        # torch.tensor would make a GPU wait for the host
        count = torch.full((), targets.numel(), device=targets.device)
    # in float32: a sum over a batch overflows float16 and loses digits in bfloat16
    total = F.cross_entropy(
        scores.flatten(0, 1).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return Loss(total, count)
