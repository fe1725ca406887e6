"""A linear layer and its cross-entropy at once, for vocabularies so large that the scores fill the memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.masking import IGNORED, cross_entropy, ignore_padding, zero_padding

SCORES_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
"""Scores of a chunk: few enough to stay near a CPU's caches, and enough for large products."""


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    lengths: Tensor | None,
    label_smoothing: float = 0.0,
) -> Loss:
    """`masking.cross_entropy` of `F.linear(features, weight, bias)`, whose (B, T, V) scores are never held at once.

    Rows are taken in chunks, and the gradient is computed with the loss while a chunk's scores are there, so that they
    need not be kept or computed again (Hsu et al. 2024, Liger Kernel, https://arxiv.org/abs/2410.10989).

    features: (B, T, O); weight: (V, O); bias: (V,) or None; targets: (B, T), of which those that are IGNORED add
        nothing; lengths: (B,), or None where all steps are real; label_smoothing: share of the right answer's
        probability that is spread over all V.
    Raises RuntimeError where second derivatives are asked for.
    """
    if features.is_meta:  # only counted, by a batch so small that the kept gradient of the weight would outweigh all
        return cross_entropy(F.linear(features, weight, bias), targets, lengths, label_smoothing)
    if lengths is None:
        count = torch.full((), targets.numel(), device=targets.device)
    else:
        count = lengths.sum()
        features, targets = zero_padding(features, lengths), ignore_padding(targets, lengths)
    total = _LinearCrossEntropy.apply(
        features.flatten(0, 1), weight, bias, targets.flatten(), label_smoothing, torch.is_grad_enabled()
    )
    return Loss(total, count)


class _LinearCrossEntropy(torch.autograd.Function):
    """(N, O), (V, O), (V,), (N,) -> nats, summed over the targets that are not IGNORED."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        label_smoothing: float,
        learning: bool,
    ) -> Tensor:
        wanted = [learning and needed for needed in ctx.needs_input_grad[:3]]
        of_features = torch.empty_like(features) if wanted[0] else None
        of_weight, of_bias = (
            torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32)) if needed else None
            for parameter, needed in zip((weight, bias), wanted[1:], strict=True)
        )
        total = torch.zeros((), device=features.device, dtype=torch.promote_types(features.dtype, torch.float32))
        device, vocabulary = features.device.type, weight.shape[0]
        rows = max(1, SCORES_AT_ONCE.get(device, 2**22) // vocabulary)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        # a gradient that has not been scaled yet is too small for float16
        exact = torch.float32 if dtype == torch.float16 else dtype
        with torch.autocast(device, enabled=False):
            for first in range(0, len(targets), rows):
                here = slice(first, first + rows)
                x, answers = features[here], targets[here]
                scores = F.linear(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))
                # a sum over a batch overflows float16 and loses digits in bfloat16
                logs = scores.to(total.dtype).log_softmax(-1)
                del scores
                real = answers != IGNORED
                answers = answers.where(real, 0)[:, None]
                right = logs.gather(1, answers)[:, 0]
                if label_smoothing:
                    right = (1 - label_smoothing) * right + label_smoothing * logs.mean(-1)
                total -= right.where(real, 0).sum()
                if not any(wanted):
                    continue
                slope = logs.exp_()
                if label_smoothing:
                    slope -= label_smoothing / vocabulary
                slope.scatter_add_(1, answers, torch.full_like(right, label_smoothing - 1)[:, None])
                slope = slope.mul_(real[:, None]).to(exact)
                if of_features is not None:
                    of_features[here] = slope @ weight.to(exact)
                if of_weight is not None:
                    if of_weight.dtype == exact:
                        of_weight.addmm_(slope.t(), x.to(exact))
                    else:  # sums of chunks keep their digits
                        of_weight += slope.t() @ x.to(exact)
                if of_bias is not None:
                    of_bias += slope.sum(0)
        ctx.save_for_backward(of_features, of_weight, of_bias)
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("linear_cross_entropy has no second derivatives: take cross_entropy of F.linear(...)")
        of_features, of_weight, of_bias = (None if g is None else g * slope for g in ctx.saved_tensors)
        return of_features, of_weight, of_bias, None, None, None
