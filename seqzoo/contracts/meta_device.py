"""Tensors without values, for models that are only checked, measured or filled from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RANDOM = (Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.random_)


class _Uninitialised(TorchFunctionMode):
    """Leaves tensors without values as they are where random numbers would be written into them: torch's kernels for
    this import its compiler, which takes longer than to build the model.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in RANDOM or getattr(func, "__module__", "") == nn.init.__name__:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


@contextmanager
def on_meta_device() -> Iterator[None]:
    """New tensors have shapes and types, but no memory and no values; initialisers do nothing to them."""
    with torch.device("meta"), _Uninitialised():
        yield
