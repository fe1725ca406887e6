"""Trial runs of a cell: what its methods change in the cell is undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from seqzoo.kernels.stepping import Stepping


@contextmanager
def trial(cell: Stepping) -> Iterator[Callable[[], str]]:
    """A context at whose end the attributes and buffers of a cell and its submodules are as before.

    Yields:
        A function that returns the name of an attribute or buffer that has changed, empty if there is none.
    """
    before = [_Before(name, module) for name, module in cell.named_modules()]
    try:
        yield lambda: next((name for part in before for name in part.changed()), "")
    finally:
        for part in before:
            part.restore()


class _Before:
    """The attributes and buffers of one module."""

    def __init__(self, name: str, module: nn.Module):
        self.name, self.module = name, module
        self.attributes, self.buffers = dict(vars(module)), dict(module._buffers)
        tensors = {**self.attributes, **self.buffers}
        self.values = {
            key: (tensor, tensor._version, tensor.detach().clone())
            for key, tensor in tensors.items()
            if isinstance(tensor, Tensor) and not tensor.is_inference()
        }

    def changed(self) -> Iterator[str]:
        for current, before in ((vars(self.module), self.attributes), (self.module._buffers, self.buffers)):
            yield from (f"{self.name}.{key}".strip(".") for key in _replaced(current, before))
        for key, (tensor, version, _) in self.values.items():
            if tensor._version != version:
                yield f"{self.name}.{key}".strip(".")

    def restore(self) -> None:
        for current, before in ((vars(self.module), self.attributes), (self.module._buffers, self.buffers)):
            for key in _replaced(current, before):
                current.pop(key, None)
                if key in before:
                    current[key] = before[key]
        for tensor, _, value in self.values.values():
            tensor.data.copy_(value)  # the version is not counted where an operation is interrupted


def _replaced(current: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """The keys whose values are other objects, or exist in one of two dictionaries only."""
    missing = object()
    return [key for key in {**before, **current} if current.get(key, missing) is not before.get(key, missing)]
