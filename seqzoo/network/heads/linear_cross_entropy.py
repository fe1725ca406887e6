"""A linear layer fused with its cross-entropy, for vocabularies so large that the logits would fill the memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.contracts.batch import Loss
from seqzoo.contracts.masking import IGNORED, cross_entropy, ignore_padding, zero_padding
from seqzoo.contracts.transforms import differentiated

SCORES_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
"""Logits per chunk, by device: few enough for the caches of a CPU, enough for large matrix products."""


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    lengths: Tensor | None,
    label_smoothing: float = 0.0,
) -> Loss:
    """`masking.cross_entropy` of `F.linear(features, weight, bias)` without holding all (B, T, V) logits at once.

    Rows are processed in chunks. The gradient of a chunk is computed together with its loss, so that its logits are
    neither kept nor computed again.

    Args:
        features: (B, T, O)
        weight: (V, O)
        bias: (V,), or None.
        targets: (B, T); those that are `IGNORED` do not count.
        lengths: (B,); None where no step is padded.
        label_smoothing: share of the probability of the target that is spread over all V tokens.

    Returns:
        The summed loss in nats and the number of real steps.

    Raises:
        RuntimeError: a second derivative is computed.

    Source: Hsu et al., Liger Kernel, 2024, https://arxiv.org/abs/2410.10989
    """
    if features.is_meta:  # memory is counted on a small batch, where the gradient of the weight would outweigh all else
        return cross_entropy(F.linear(features, weight, bias), targets, lengths, label_smoothing)
    if lengths is None:
        count = torch.full((), targets.numel(), device=targets.device)
    else:
        count = lengths.sum()
        features, targets = zero_padding(features, lengths), ignore_padding(targets, lengths)
    if differentiated():  # torch.func has derivatives of torch's own operations only
        scores = F.linear(features, weight, bias).flatten(0, 1)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        total = F.cross_entropy(
            scores, targets.flatten(), ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing
        )
        return Loss(total, count)
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
        needed = [learning and needs_grad for needs_grad in ctx.needs_input_grad[:3]]
        grad_features = torch.empty_like(features) if needed[0] else None
        grad_weight, grad_bias = (
            torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32))
            if is_needed and parameter is not None
            else None
            for parameter, is_needed in zip((weight, bias), needed[1:], strict=True)
        )
        total = torch.zeros((), device=features.device, dtype=torch.promote_types(features.dtype, torch.float32))
        device, vocabulary = features.device.type, weight.shape[0]
        rows = max(1, SCORES_AT_ONCE.get(device, 2**22) // vocabulary)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        # the gradient is not scaled yet and would underflow in float16
        exact = torch.float32 if dtype == torch.float16 else dtype
        with torch.autocast(device, enabled=False):
            for first in range(0, len(targets), rows):
                chunk = slice(first, first + rows)
                x, answers = features[chunk], targets[chunk]
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
                if not any(needed):
                    continue
                slope = logs.exp_()
                if label_smoothing:
                    slope -= label_smoothing / vocabulary
                slope.scatter_add_(1, answers, torch.full_like(right, label_smoothing - 1)[:, None])
                slope = slope.mul_(real[:, None]).to(exact)
                if grad_features is not None:
                    grad_features[chunk] = slope @ weight.to(exact)
                if grad_weight is not None:
                    if grad_weight.dtype == exact:
                        grad_weight.addmm_(slope.t(), x.to(exact))
                    else:  # accumulated in float32
                        grad_weight += slope.t() @ x.to(exact)
                if grad_bias is not None:
                    grad_bias += slope.sum(0)
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("linear_cross_entropy has no second derivatives: use cross_entropy of F.linear(...)")
        gradients = (None if gradient is None else gradient * grad_output for gradient in ctx.saved_tensors)
        return (*gradients, None, None, None)
