"""A constructor's signature is the schema of its options: what may be given, and of what type."""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from seqzoo.errors import closest


@functools.cache
def parameters(constructor: type) -> dict[str, inspect.Parameter]:
    """The named parameters of a class. What it collects by `**` goes to the class it builds on, whose follow."""
    collected = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found: dict[str, inspect.Parameter] = {}
    for written in _constructors(constructor):
        _, *named = inspect.signature(written).parameters.values()  # the first is self
        found = {parameter.name: parameter for parameter in named if parameter.kind not in collected} | found
    return found


@functools.cache
def type_hints(constructor: type) -> dict[str, Any]:
    """Type hints of the same parameters, resolved where each was written."""
    if is_dataclass(constructor):
        return get_type_hints(constructor)
    hints: dict[str, Any] = {}
    for written in _constructors(constructor):
        hints = get_type_hints(written) | hints
    return hints


def _constructors(constructor: type) -> Iterator[Callable]:
    """The `__init__` of a class, and of those it builds on as long as each hands on what it does not name."""
    for base in constructor.__mro__:
        if "__init__" in vars(base):
            written = vars(base)["__init__"]
            yield written
            if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(written).parameters.values()):
                return


def is_group(hint: Any) -> bool:
    """Whether an option is a group of options: a dataclass, whose signature is their schema."""
    return isinstance(hint, type) and is_dataclass(hint)


def leaves(constructor: type, options: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, type, value) of options and of those in their groups."""
    hints = type_hints(constructor)
    for name, value in options.items():
        if is_group(hints.get(name)) and isinstance(value, dict):
            yield from leaves(hints[name], value, f"{above}{name}.")
        else:
            yield f"{above}{name}", hints.get(name), value


def check_options(
    where: str, constructor: type, options: dict[str, Any], provided: Iterable[str] = ()
) -> dict[str, str]:
    """The options with a mistake, those of a group by their path, and a sentence for each: unknown names, missing ones,
    wrong types.

    provided: names that are not options, because they come from elsewhere.
    """
    known, hints, provided = parameters(constructor), type_hints(constructor), set(provided)
    mistakes = {}
    for name, value in options.items():
        if name not in known or name in provided:
            may = [other for other in known if other not in provided]
            groups = [other for other in may if is_group(hints.get(other)) and name in parameters(hints[other])]
            advice = f": it is '{where}.{groups[0]}.{name}'." if groups else f".{closest(name, may)}"
            mistakes[name] = f"there is no option '{where}.{name}'{advice}"
        elif value == "???":
            mistakes[name] = f"{where}.{name} is not set: give {where}.{name}=..."
        elif name in hints and not fits(value, hints[name]):
            expected = describe(hints[name])
            quoted = ', numbers in quotes, as "12"' if "text" in expected and _has_number(value) else ""
            mistakes[name] = f"{where}.{name} is {value!r}: it must be {expected}{quoted}"
        elif is_group(hints.get(name)):
            inside = check_options(f"{where}.{name}", hints[name], value)
            mistakes |= {f"{name}.{option}": mistake for option, mistake in inside.items()}
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options and name not in provided:
            mistakes[name] = f"{where}.{name} is not set: give {where}.{name}=..."
    return mistakes


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value (from YAML) is of the annotated type. An int is a float; a bool is no number, nor is
    nan or an infinite one.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(key, arguments[0]) and fits(item, arguments[1]) for key, item in value.items()
        )
    if is_group(hint):
        return isinstance(value, dict)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and origin is None:  # in Python 3.10 Callable[...] counts as a type
        return isinstance(value, hint)
    return True  # components (a cell, a decoder) are checked where they are built


def _has_number(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return any(map(_has_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def describe(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 2 else " or ".join(map(str, arguments))
    if origin is list:
        return f"a list, each {describe(arguments[0])}"
    if origin is dict:
        return f"a mapping, each value {describe(arguments[1])}"
    if is_group(hint):
        return f"a mapping of its options: {', '.join(parameters(hint))}"
    words = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", type(None): "null"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))
