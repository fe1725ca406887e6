"""Validation of options: the signature of a constructor is the schema of its options, names and types."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard, Union, get_args, get_origin, get_type_hints

from seqzoo.contracts.errors import closest

Options = Mapping[str, Any]
"""The options of a component or a group as in its YAML: plain values, lists and mappings."""

Values = Mapping[str, Any]
"""Values of options by their paths, such as `backbone.hidden_size`, and names by their groups, such as `backbone`."""


TypeHint: TypeAlias = Any
"""The annotation of a parameter: a class, or a form of `typing` such as `int | None`, which have no type in common."""


class FrozenOptions(Mapping[str, Any]):
    """Options that cannot be changed, nor can the mappings and lists in them; lists are tuples."""

    def __init__(self, options: Options):
        self._options = {name: frozen(value) for name, value in options.items()}

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __repr__(self) -> str:
        return repr(self._options)


def frozen(value: Any) -> Any:
    """A plain value as one that cannot be changed."""
    if isinstance(value, Mapping):
        return FrozenOptions(value)
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def thawed(value: Any) -> Any:
    """The plain value, with dicts and lists of its own, that was frozen."""
    if isinstance(value, Mapping):
        return {name: thawed(inner) for name, inner in value.items()}
    return [thawed(inner) for inner in value] if isinstance(value, (list, tuple)) else value


LARGEST = 2**63 - 1
"""The largest integer that an option can have; torch's integers have 64 bits."""


@functools.cache
def parameters(constructor: type) -> dict[str, inspect.Parameter]:
    """The named parameters of a constructor; where it takes `**options`, also those of its base class."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named: dict[str, inspect.Parameter] = {}
    for init in _constructors(constructor):
        _, *after_self = inspect.signature(init).parameters.values()
        named = {parameter.name: parameter for parameter in after_self if parameter.kind not in variadic} | named
    return named


@functools.cache
def type_hints(constructor: type) -> Mapping[str, TypeHint]:
    """The type hints of `parameters`, each resolved in the module that defines it."""
    if is_dataclass(constructor):
        return get_type_hints(constructor)
    hints: dict[str, TypeHint] = {}
    for init in _constructors(constructor):
        hints = get_type_hints(init) | hints
    return hints


def _constructors(constructor: type) -> Iterator[Callable]:
    """The `__init__` of a class and of its bases, as long as each one takes `**options` for the next."""
    for base in constructor.__mro__:
        if "__init__" in vars(base):
            init = vars(base)["__init__"]
            yield init
            if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(init).parameters.values()):
                return


def is_group(hint: Any) -> TypeGuard[type]:
    """Whether a type stands for a group of options: a dataclass."""
    return isinstance(hint, type) and is_dataclass(hint)


def leaves(constructor: type, options: Options, above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, type, value) of all options, those in groups included."""
    hints = type_hints(constructor)
    for name, value in options.items():
        if is_group(hints.get(name)) and isinstance(value, dict):
            yield from leaves(hints[name], value, f"{above}{name}.")
        else:
            yield f"{above}{name}", hints.get(name), value


def path_in(above: str, name: str) -> str:
    """The path of an option in a component or group; that of an argument, which is in none, is its name."""
    return f"{above}.{name}" if above else name


def check_options(
    where: str,
    constructor: type,
    options: Options,
    provided: Iterable[str] = (),
    common: Iterable[str] = (),
) -> dict[str, str]:
    """Check options against a constructor: unknown names, missing options, wrong types.

    Args:
        where: path of the component, for messages; empty: the options are arguments of a function.
        constructor: class or dataclass whose parameters are the options.
        options: values by name.
        provided: parameters that are not options because the caller passes them.
        common: options that are checked elsewhere; suggested for unknown names.

    Returns:
        A sentence for each wrong option, by its path within the component; empty: all are valid.
    """
    accepted, hints, provided = parameters(constructor), type_hints(constructor), set(provided)
    mistakes = {}
    for name, value in options.items():
        path = path_in(where, name)
        if name not in accepted or name in provided:
            candidates = [other for other in [*accepted, *common] if other not in provided]
            in_groups = {
                option: f"{group}.{option}"
                for group in accepted
                if is_group(hints.get(group)) and group not in provided
                for option in parameters(hints[group])
            }
            near = difflib.get_close_matches(name, [*candidates, *in_groups], n=1, cutoff=0.7)
            if name in in_groups:
                advice = f": it is '{path_in(where, in_groups[name])}'"
            elif near and near[0] not in candidates:
                advice = f". Did you mean '{path_in(where, in_groups[near[0]])}'?"
            else:
                advice = closest(name, candidates, where)
            mistakes[name] = f"there is no option '{path}'{advice}"
        elif value == "???":
            mistakes[name] = f"{path} is not set: give {path}=..."
        elif name in hints and not fits(value, hints[name]):
            mistakes[name] = (
                f"{path} is {shown(value)}: it must be {describe(hints[name])}{_advice(value, hints[name])}"
            )
        elif is_group(hints.get(name)):
            of_group = check_options(path, hints[name], value)
            mistakes |= {f"{name}.{option}": mistake for option, mistake in of_group.items()}
    for name, parameter in accepted.items():
        if parameter.default is parameter.empty and name not in options and name not in provided:
            mistakes[name] = f"{path_in(where, name)} is not set: give {path_in(where, name)}=..."
    return mistakes


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value (from YAML) has the annotated type. Ints are valid floats; bools, nan, infinities and
    integers of more than 64 bits are not valid numbers.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin in (list, Sequence):
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(key, arguments[0]) and fits(item, arguments[1]) for key, item in value.items()
        )
    if is_group(hint):
        return isinstance(value, dict)
    if origin is type:
        return isinstance(value, str)
    if hint is type(None):
        return value is None
    if hint is float:
        return fits(value, int) or (isinstance(value, float) and math.isfinite(value))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if isinstance(hint, type) and origin is None:  # in Python 3.10 Callable[...] counts as a type
        return isinstance(value, hint)
    return True  # components (a cell, a decoder) are checked where they are built


def _advice(value: Any, hint: Any) -> str:
    """A hint at what a value of the wrong type may have been meant to be."""
    numbers = [*_numbers(value)]
    if numbers and "text" in describe(hint):
        return ', numbers in quotes, as "12"'
    return f", at most {LARGEST}" if any(LARGEST < abs(number) < math.inf for number in numbers) else ""


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def describe(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 2 else " or ".join(map(str, arguments))
    if origin in (list, Sequence):
        return f"a list of {_described_items(arguments[0])}"
    if origin is dict:
        return f"a mapping of names to {_described_items(arguments[1])}"
    if origin is type:
        return "module.Class"
    if is_group(hint):
        return f"a mapping of its options: {', '.join(parameters(hint))}"
    words = {int: "an integer", float: "a finite number", str: "text", bool: "true or false", type(None): "null"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def _described_items(hint: Any) -> str:
    """The type of the items of a list or mapping in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_described_items, get_args(hint)))
    words = {int: "integers", float: "finite numbers", str: "texts"}
    return words.get(hint, describe(hint))


class UnmetCondition(NamedTuple):
    """An option whose condition does not hold.

    Attributes:
        path, value: full path and value of the option.
        other, actual: full path and value of the option that it depends on.
        wanted: what the other option would have to be, in words.
    """

    path: str
    value: Any
    other: str
    actual: Any
    wanted: str

    def __str__(self) -> str:
        return f"{self.path}={plain(self.value)} has no effect with {self.other}={plain(self.actual)}"


def unmet(declared: str, constructor: type, options: Options, where: str, config: Options) -> Iterator[UnmetCondition]:
    """The options of a component whose conditions do not hold.

    A class declares conditions for its options by name:

        acts_with = {"momentum": "optimizer=sgd,rmsprop"}  # otherwise the option has no effect
        needs = {"freeze": "data.vectors!=null"}           # otherwise the option does harm

    A condition compares another option (of the same component, or by its full path) with values: `=` one of them, `!=`
    none of them, `>` a number. Conditions are combined by " and " and " or ", where " or " binds more tightly. Options
    that are off (null, false, 0, none or empty) are not checked.

    Args:
        declared: name of the class attribute with the conditions, acts_with or needs.
        constructor: the class, or the dataclass of a group of options.
        options: the options of the component.
        where: path of the component.
        config: the whole configuration, for options of other components.

    Yields:
        One `UnmetCondition` per option.
    """
    hints, accepted = type_hints(constructor), parameters(constructor)

    def value_of(name: str) -> Any:
        return options.get(name, accepted[name].default if name in accepted else None)

    conditions: dict[str, str] = {}
    for base in reversed(constructor.__mro__):
        conditions |= vars(base).get(declared, {})
    for name, condition in conditions.items():
        if name not in options or options[name] in (None, False, 0, "none", "", [], {}):
            continue
        for clause in condition.split(" and "):
            alternatives = [re.fullmatch(r"([\w.]+?)(!=|=|>)(.*)", text) for text in clause.split(" or ")]
            tested = []
            for match in alternatives:
                assert match is not None, clause
                other, sign, values = match[1], match[2], match[3].split(",")
                actual = value_at(config, other) if "." in other else value_of(other)
                tested.append((other if "." in other else f"{where}.{other}", actual, sign, values))
            if not any(_holds(actual, sign, values) for _, actual, sign, values in tested):
                path, actual, sign, values = tested[0]
                yield UnmetCondition(f"{where}.{name}", options[name], path, actual, _wanted(path, sign, values))
                break
    for name, value in options.items():
        if is_group(hints.get(name)) and isinstance(value, dict):
            yield from unmet(declared, hints[name], value, f"{where}.{name}", config)


def plain(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def unquoted(value: str) -> str:
    """Strip the quotes that Hydra accepts around a value, as in resume='runs/x'."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def shown(value: Any) -> str:
    """A value for messages: as in YAML, strings in quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value) if isinstance(value, str | dict) else plain(value)


def _holds(actual: Any, sign: str, values: list[str]) -> bool:
    if sign == ">":
        return isinstance(actual, (int, float)) and actual > float(values[0])
    return (plain(actual) in values) == (sign == "=")


def _wanted(path: str, sign: str, values: list[str]) -> str:
    if sign == ">":
        return f"{path} above {values[0]}"
    return f"{path}={' or '.join(values)}" if sign == "=" else path


def value_at(config: Options, path: str) -> Any:
    """The value of an option by its path; None if it does not exist."""
    node: Any = config
    for part in path.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def with_values(config: Options, values: Values) -> Options:
    """A plain copy of a configuration with other values of some options, by path, such as backbone.hidden_size."""
    changed = thawed(config)
    for path, value in values.items():
        *above, option = path.split(".")
        functools.reduce(dict.__getitem__, above, changed)[option] = value
    return changed


def has(config: Options, path: str) -> bool:
    """Whether a configuration has an option of this path."""
    *above, option = path.split(".")
    node = value_at(config, ".".join(above)) if above else config
    return isinstance(node, Mapping) and option in node
