"""Everything that the step of a cell can depend on besides the values of its tensors, as the key of compiled steps."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from seqzoo.kernels.fused.tracing import NotCompilable
from seqzoo.kernels.stepping import Stepping

EXACT = {bool, int, str, bytes, complex, type(None), torch.dtype, torch.device, BuiltinFunctionType}
"""Types whose equal values give equal results."""
CONTAINERS = {list, tuple, dict, set, frozenset}
CLASS_VALUES = (bool, int, float, str, tuple, list, dict, set, numpy.ndarray)
BOOKKEEPING = set(vars(nn.Module())) - {"training"}
"""Attributes of every nn.Module."""
MOST_VALUES, DEEPEST = 10_000, 50
"""Limits of what is compared before each use of a cell: values in its attributes, elements of arrays included, and
levels of nesting."""


def traits_of(cell: Stepping) -> Iterator[Hashable]:
    """All attributes of the cell, its classes and submodules, by value, with the globals that user-defined methods
    read, and the shapes of its tensors.

    Raises:
        NotCompilable: there are too many values.
    """
    modules = list(cell.named_modules())
    reader = _Reader([module for _, module in modules])
    for name, module in modules:
        kind = type(module)
        yield name, kind
        for attribute, value in vars(module).items():
            if attribute not in BOOKKEEPING:
                yield attribute, reader.read(value)
        yield from [reader.read(getattr(kind, attribute, None)) for attribute in _class_attributes(kind)]  # type: ignore[arg-type]
        yield from [reader.read(method) for method in _user_methods(kind)]
        for attribute, tensor in (*module._parameters.items(), *module._buffers.items()):
            yield attribute, None if tensor is None else (tensor.shape, tensor.dtype)


@functools.lru_cache(1024)
def _class_attributes(kind: type) -> list[str]:
    """The names of class attributes; their values can be changed, too."""
    bases = kind.__mro__[: kind.__mro__.index(nn.Module)]
    names = [name for base in bases for name, value in vars(base).items() if isinstance(value, CLASS_VALUES)]
    return [name for name in dict.fromkeys(names) if not name.startswith("__")]


def _user_methods(kind: type) -> Iterator[FunctionType]:
    """User-defined methods: they can be replaced, and the globals that they read can change."""
    for base in kind.__mro__[: kind.__mro__.index(nn.Module)]:
        for value in vars(base).values():
            if type(value) is FunctionType and (value.__module__ or "").partition(".")[0] not in ("seqzoo", "torch"):
                yield value


@functools.lru_cache(1024)
def _names(code: CodeType) -> frozenset[str]:
    """The global names that a function and its inner functions look up."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, CodeType)]
    return frozenset(code.co_names).union(*inner)


def _globals_read(function: FunctionType) -> dict[str, Any]:
    """The values and functions of its module that a function reads."""
    names = function.__globals__
    looked_up = {name: names[name] for name in sorted(_names(function.__code__)) if name in names}
    return {
        name: value
        for name, value in looked_up.items()
        if isinstance(value, CLASS_VALUES) or (type(value) is FunctionType and value.__globals__ is names)
    }


class _Reader:
    """Converts values to keys that are equal only if no computation can tell the values apart."""

    def __init__(self, modules: list[nn.Module]):
        self._above = {id(module): number for number, module in enumerate(modules)}
        self._left, self._deepest = MOST_VALUES, len(modules) + DEEPEST

    def read(self, value: Any) -> Hashable:
        kind = type(value)
        if kind in EXACT:
            return kind, value
        if kind is float:  # so that nan is equal to itself, and 0.0 not to -0.0
            return kind, repr(value)
        if isinstance(value, type):
            return value
        if isinstance(value, Tensor):
            return kind, value.shape, value.dtype, value.device
        self._left -= value.size if kind is numpy.ndarray else len(value) if kind in CONTAINERS else 1
        if self._left < 0 or len(self._above) > self._deepest:
            raise NotCompilable("its attributes hold too many values to compare them before each use")
        if id(value) in self._above:
            return "above", self._above[id(value)]
        self._above[id(value)] = len(self._above)
        try:
            return kind, self._parts(kind, value)
        finally:
            del self._above[id(value)]

    def _parts(self, kind: type, value: Any) -> Hashable:
        if kind in (list, tuple):
            return tuple(map(self.read, value))
        if kind is dict:
            return tuple((self.read(key), self.read(part)) for key, part in value.items())
        if kind in (set, frozenset):
            return frozenset(map(self.read, value))
        if kind is numpy.ndarray and value.dtype != object:
            return value.dtype.str, value.shape, value.tobytes()
        if kind is FunctionType:
            closure = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
            return value.__code__, self.read((value.__defaults__, value.__kwdefaults__, closure, _globals_read(value)))
        if kind is MethodType:
            return self.read(value.__func__), self.read(value.__self__)
        try:  # as copy.copy does
            reduced = value.__reduce_ex__(4)
        except Exception:  # from objects that cannot be copied
            return _Identity(value)
        if isinstance(reduced, str):
            return _Identity(value)
        parts = list(reduced) + [None] * 5
        return self.read((*parts[:3], list(parts[3] or ()), list(parts[4] or ())))


class _Identity:
    """Compares by identity; keeps the object alive, so that its address is not reused."""

    def __init__(self, value: object):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value
