"""What is changed for a while and given back, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def restored(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors that may be changed inside the context have their values again after it; yields copies of these."""
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield before
    finally:
        # in place, so that whoever holds a tensor, or has counted its changes, sees this one
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the context, the model is in evaluation mode; after it, each module is in its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
