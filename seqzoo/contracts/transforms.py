"""Whether torch traces or transforms the computation, which compiled code and some kernels do not support."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_batchedtensor, is_functorch_wrapped_tensor
from torch.autograd import forward_ad


def jit_traced() -> bool:
    """Whether `torch.jit.trace` is recording operations."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]  # public, but not in its __all__


def traced() -> bool:
    """Whether operations are being recorded: by `torch.compile`, `torch.export` or `torch.jit.trace`."""
    return torch.compiler.is_compiling() or jit_traced()


def exported() -> bool:
    """Whether `torch.export` is recording operations, for inputs of any length."""
    return torch.compiler.is_exporting()


def differentiated() -> bool:
    """Whether a transformation of `torch.func` (vmap, grad, jvp, ...) or forward-mode differentiation is active."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def autocast_dtype(device: str) -> torch.dtype | None:
    """The dtype that autocast converts to on this type of device; None if autocast is off."""
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def transformed() -> bool:
    """Whether anything besides a backward pass intercepts operations: tracing, transformations, or a dispatch mode such
    as FakeTensorMode or a FLOP counter.
    """
    return traced() or differentiated() or torch._C._len_torch_dispatch_stack() > 0


def on_host(tensor: Tensor) -> numpy.ndarray:
    """The values of a tensor of integers, which no transformation of `torch.func` sees: they are not differentiated."""
    while is_functorch_wrapped_tensor(tensor):
        tensor = get_unwrapped(tensor)
    with torch._C._DisableFuncTorch():
        return tensor.cpu().long().numpy()


def mapped_over(tensor: Tensor) -> bool:
    """Whether `torch.func.vmap` maps over a tensor, so that its values are not known."""
    while is_functorch_wrapped_tensor(tensor):
        if is_batchedtensor(tensor):
            return True
        tensor = get_unwrapped(tensor)
    return False
