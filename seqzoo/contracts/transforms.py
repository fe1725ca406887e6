"""Whether torch traces or transforms what is computed, of which compiled code and some kernels know nothing."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def traced() -> bool:
    """Whether operations are written down to be run again: `torch.compile`, `torch.export`, `torch.jit.trace`."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def differentiated() -> bool:
    """Whether vmap, grad, jvp or another transformation of `torch.func` is at work, or forward-mode derivatives are."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def autocast_dtype(device: str) -> torch.dtype | None:
    """What autocast makes of numbers on this kind of device; None where it is off."""
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def transformed() -> bool:
    """Whether anything but a backward pass looks at operations: the two above, and dispatch modes, which see or
    replace each of them, such as FakeTensorMode or a counter of operations.
    """
    return traced() or differentiated() or torch._C._len_torch_dispatch_stack() > 0
