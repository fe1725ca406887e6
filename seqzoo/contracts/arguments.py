"""Checks of the arguments of public functions: TypeError and ValueError that name the argument and what it must be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

MODULES = "a list of names of modules, such as ['my_module']"


def check_argument(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Raises TypeError unless a value is of one of these types; wanted: what it must be, in words."""
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r:.60}: it must be {wanted}")


def check_folder(name: str, value: Any) -> None:
    """Raises TypeError unless a value is a path."""
    check_argument(name, value, (str, os.PathLike), "a text or a Path that names a run directory")


def check_list(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Raises TypeError unless a value is a list of such values. A single text, whose letters would be taken for texts,
    is none.

    Args:
        wanted: what it must be, in words, such as "a list of texts".
    """
    if isinstance(value, str | bytes | os.PathLike) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r:.60}: it must be {wanted}")
    for item in value:
        if not isinstance(item, kinds):
            raise TypeError(f"{name} contains {item!r:.60}: it must be {wanted}")


def check_number(name: str, value: Any, least: int) -> None:
    """Raises TypeError unless a value is a whole number, ValueError where it is below `least`."""
    check_argument(name, value, int, "a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}: it must be at least {least}")
