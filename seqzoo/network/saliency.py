"""The contribution of each input step to a score, from gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch
from seqzoo.contracts.parts import Network


def gradient_times_input(model: Network, batch: Batch, score: Callable[[Tensor], Tensor]) -> Tensor:
    """Gradient times input: the inner product of each encoded step with the gradient of the score of its row.

    For a linear model the sum over a row is the difference between its score and that of zero inputs.

    Args:
        model: a `Model`.
        batch: the inputs.
        score: scores of the task -> the scores to explain, (B,), or their sum.

    Returns:
        Contributions, shape (B, T).

    Source: Simonyan, Vedaldi & Zisserman, Deep Inside Convolutional Networks, 2014, https://arxiv.org/abs/1312.6034;
    Denil, Demiraj & de Freitas, Extraction of Salient Sentences from Labelled Documents, 2014,
    https://arxiv.org/abs/1412.6815
    """
    encoded: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        encoded.append(output.detach().requires_grad_())
        return encoded[0]

    hook = model.encoder.register_forward_hook(keep)
    try:
        # cuDNN has no backward pass in evaluation mode
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            scores, _ = model(batch)
            [gradient] = torch.autograd.grad(score(scores).sum(), encoded)
    finally:
        hook.remove()
    return (encoded[0] * gradient).sum(-1).detach()
