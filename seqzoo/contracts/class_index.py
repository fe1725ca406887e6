"""Index of the classes of a package, built from its source files, so that no list has to be kept beside them."""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path
from typing import Any


@functools.cache
def modules(package: str) -> dict[str, str]:
    """The module that defines each public class of a package and its subfolders, without importing them."""
    folder = Path(importlib.import_module(package).__path__[0])
    module_of: dict[str, str] = {}
    for file in sorted(folder.rglob("*.py")):
        module = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
        for name in re.findall(r"^class ([A-Z]\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            module_of.setdefault(name, module)
    return module_of


def class_of(package: str, name: str) -> Any:
    """A class of a package by name, for the package's `__getattr__`; its module is imported on first use.

    Raises:
        AttributeError: no file of the package defines the class.
    """
    if name.startswith("_") or name not in modules(package):
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules(package)[name]), name)
