"""How much each step of an input adds to a score, from its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch


def gradient_times_input(model: Any, batch: Batch, score: Callable[[Tensor], Tensor]) -> Tensor:
    """(B, T): the inner product of each step's vector, as the encoder gives it, with the gradient of its row's score.
    The sum over a row is the change of a linear model's score against inputs of zero.

    score: the task's scores -> (B,), or their sum.

    Source: Simonyan, Vedaldi & Zisserman, Deep Inside Convolutional Networks, 2014, https://arxiv.org/abs/1312.6034;
    Denil, Demiraj & de Freitas, Extraction of Salient Sentences from Labelled Documents, 2014,
    https://arxiv.org/abs/1412.6815
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    hook = model.encoder.register_forward_hook(keep)
    try:
        # cuDNN has no backward pass outside training
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            scores, _ = model(batch)
            [gradient] = torch.autograd.grad(score(scores).sum(), kept)
    finally:
        hook.remove()
    return (kept[0] * gradient).sum(-1).detach()
