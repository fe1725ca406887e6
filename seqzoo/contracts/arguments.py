"""Checks of the arguments of public functions, whose errors name the argument and what it must be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

MODULES = "a list of names of modules, such as ['my_module']"


def check_argument(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Check the type of an argument.

    Args:
        name: of the argument.
        value: the argument.
        kinds: allowed types.
        wanted: what it must be, in words.

    Raises:
        TypeError: it has another type.
    """
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r:.60}: it must be {wanted}")


def check_folder(name: str, value: Any) -> None:
    """Raise TypeError if an argument is not a path."""
    check_argument(name, value, (str, os.PathLike), "a text or a Path that names a run directory")


def checked_list(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> list[Any]:
    """The items of an argument that must be a list, or anything else that can be iterated, such as a generator, which
    is read only here. A single string is an error, because its characters would be taken for texts.

    Args:
        name: of the argument.
        value: the argument.
        kinds: allowed types of the elements.
        wanted: what it must be, in words, such as "a list of texts".

    Returns:
        A new list of the items.

    Raises:
        TypeError: it is not a list, or an element has another type.
    """
    if isinstance(value, str | bytes | os.PathLike) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r:.60}: it must be {wanted}")
    items = list(value)
    for item in items:
        if not isinstance(item, kinds):
            raise TypeError(f"{name} contains {item!r:.60}: it must be {wanted}")
    return items


def check_number(name: str, value: Any, least: int) -> None:
    """Check an argument that must be an integer.

    Args:
        name: of the argument.
        value: the argument.
        least: the smallest allowed value.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is below `least`.
    """
    check_argument(name, value, int, "an integer")
    if value < least:
        raise ValueError(f"{name} is {value}: it must be at least {least}")
