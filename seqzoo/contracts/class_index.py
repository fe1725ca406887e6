"""The classes of a package, found in the files that define them: there is no list to keep beside the files."""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path
from typing import Any


@functools.cache
def modules(package: str) -> dict[str, str]:
    """The module that defines each public class of a package and of the folders in it; imports none of them."""
    folder = Path(importlib.import_module(package).__path__[0])
    homes: dict[str, str] = {}
    for file in sorted(folder.rglob("*.py")):
        module = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
        for name in re.findall(r"^class ([A-Z]\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            homes.setdefault(name, module)
    return homes


def class_of(package: str, name: str) -> Any:
    """A class of a package by its name, for the package's `__getattr__`: its file is imported when first asked for.

    Raises:
        AttributeError: no file of the package defines such a class.
    """
    if name.startswith("_") or name not in modules(package):
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules(package)[name]), name)
