"""Components from their options: look up the class, check the options, construct it.

A configuration can only name classes of seqzoo's packages and of modules that the user allowed on the command line.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

import torch
from torch import nn

from seqzoo.cells.cell import Cell, CellFactories, CellFactory
from seqzoo.cells.initialisation import Initialisation, initialise
from seqzoo.cells.modified import Modifiers, modify
from seqzoo.configuration import composing, registry
from seqzoo.configuration.budget import WIDEST
from seqzoo.configuration.registry import noun
from seqzoo.contracts.batch import State
from seqzoo.contracts.class_index import modules
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, DataError, PartError, closest
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.options import (
    Options,
    check_options,
    fits,
    is_group,
    leaves,
    parameters,
    path_in,
    shown,
    thawed,
    type_hints,
)
from seqzoo.contracts.own_parts import during, failure_of_own_part
from seqzoo.contracts.parts import Backbone, BackboneFactory, Encoder, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.kernels.engines import Execution
from seqzoo.learning.rule import LearningRule

PACKAGES = {
    "data": "seqzoo.data",
    "encoder": "seqzoo.network.encoders",
    "cell": "seqzoo.cells",
    "backbone": "seqzoo.network.backbones",
    "task": "seqzoo.tasks",
    "learning": "seqzoo.learning",
}


CONTRACTS: dict[str, type] = {
    "data": DataModule,
    "encoder": Encoder,
    "cell": Cell,
    "backbone": Backbone,
    "task": Task,
    "learning": LearningRule,
}


@dataclass(frozen=True, kw_only=True)
class Provided:
    """What constructors receive besides their options, from the data and from other components.

    Args:
        spec: sizes and vocabularies of the data.
        cell: the cell of the model, for backbones, also for those inside other components.
        input_size, hidden_size, feature_size: what a component reads, the units of a cell, the outputs of a backbone.
        encoder_state: an initial state of the backbone for one row.
        embedding: of the encoder, for tied weights.
    """

    spec: DataSpec | None = None
    cell: CellFactory | None = None
    input_size: int | None = None
    hidden_size: int | None = None
    feature_size: int | None = None
    encoder_state: State | None = None
    embedding: nn.Module | None = None


# the names of what the constructors of each group may receive
PROVIDED = {
    "cell": ("input_size", "hidden_size"),
    "backbone": ("cell", "input_size"),
    "encoder": ("input_size", "spec"),
    "task": ("feature_size", "spec", "encoder_state", "embedding"),
    "data": (),
    "learning": (),
}


LARGEST_FLOAT = 1_000_000
"""The largest size of a number in the options of a cell, such as an initial bias; integers have limits of their
own."""


def find(group: str, options: Options, allowed: Collection[str], where: str) -> Any:
    """The class that the option `class` names. Raises ConfigError."""
    name = options.get("class")
    if isinstance(name, type):  # from a program; files hold names
        return _complete(name, CONTRACTS[group], f"the {noun(group)} is {name.__module__}.{name.__qualname__}")
    if not isinstance(name, str):
        wanted = f"name a class of {PACKAGES[group]}, or module.Class of your own"
        raise ConfigError([f"{path_in(where, 'class')} is {shown(name)}: {wanted}"])
    if "." in name:
        return user_class(name, CONTRACTS[group], group, allowed, path_in(where, "class"))
    homes = modules(PACKAGES[group])
    subject = f"{path_in(where, 'class')} is {name!r}"
    if name not in homes:
        raise ConfigError([f"{subject}: there is no such {noun(group)}{closest(name, _usable(group, homes))}"])
    return _class_in(homes[name], name, CONTRACTS[group], noun(group), subject)


def _usable(group: str, homes: Mapping[str, str]) -> list[str]:
    """The names of classes that are complete components of a group."""
    usable = []
    for name, module in homes.items():
        with suppress(ConfigError):
            _class_in(module, name, CONTRACTS[group], group, "")
            usable.append(name)
    return usable


def user_class(name: str, contract: type, what: str, allowed: Collection[str], where: str) -> Any:
    """Import a user-defined class `module.Class` of an allowed module.

    Args:
        name: the value in the configuration.
        contract: the base class that it must inherit from.
        what: a word for such classes, for messages.
        allowed: modules that the user allowed.
        where: path of the option, for messages.

    Raises:
        ConfigError: the module is not allowed or cannot be imported, or it has no such class.
    """
    module, _, attribute = name.rpartition(".")
    if not re.fullmatch(r"[\w-][\w.-]*", name) or not module:
        raise ConfigError([f"{where} is {name!r}: name a class of your own, module.Class"])
    if module not in allowed:
        allow = f"'allow_modules=[{module}]', or for a finished run --allow-module {module}"
        raise ConfigError([f"{where} is {name!r}, outside seqzoo: if you trust it, add {allow}"])
    return _class_in(module, attribute, contract, what, f"{where} is {name!r}")


def _class_in(module: str, attribute: str, contract: type, what: str, subject: str) -> Any:
    try:
        members = vars(importlib.import_module(module))
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError([f"{subject}, but {module} cannot be imported: {error}"]) from error
    classes = {name: value for name, value in members.items() if isinstance(value, type)}
    if attribute not in classes:
        names = [name for name, value in classes.items() if issubclass(value, contract)]
        raise ConfigError([f"{subject}: there is no such {what}{closest(attribute, names)}"])
    return _complete(classes[attribute], contract, subject)


def _complete(component: type, contract: type, subject: str) -> type:
    """The class itself. Raises ConfigError if it does not inherit from its base class or lacks methods."""
    if not issubclass(component, contract):
        home = "seqzoo" if contract in (*CONTRACTS.values(), Metric) else contract.__module__.rpartition(".")[0]
        raise ConfigError([f"{subject}, which does not inherit from {home}.{contract.__name__}"])
    undefined = [name for name in dir(contract) if _is_abstract(contract, name) and _is_abstract(component, name)]
    undefined += sorted(getattr(component, "__abstractmethods__", ()))  # of a base class that inherits from ABC
    if undefined:
        raise ConfigError([f"{subject}, which does not define {', '.join(undefined)}: choose a class that does"])
    return component


def _is_abstract(owner: type, name: str) -> bool:
    return getattr(getattr(owner, name), "__isabstractmethod__", False)


def with_classes(value: Any, hint: Any, allowed: Collection[str], where: str) -> Any:
    """Replace names of classes in an option by the classes, where its type hint has `type[Contract]`. Strings without a
    dot are kept if the hint also allows strings.
    """
    arguments = get_args(hint)
    if get_origin(hint) in (list, Sequence) and isinstance(value, list):
        return [with_classes(item, arguments[0], allowed, where) for item in value]
    alternatives = arguments if get_origin(hint) in (Union, UnionType) else [hint]
    contracts = [get_args(choice)[0] for choice in alternatives if get_origin(choice) is type]
    if contracts and isinstance(value, str) and ("." in value or str not in alternatives):
        return user_class(value, contracts[0], contracts[0].__name__.lower(), allowed, where)
    return value


def make(
    group: str,
    options: Options,
    provided: Provided,
    allowed: Collection[str],
    where: str | None = None,
) -> Any:
    """Construct a component.

    Args:
        group: kind of the component, a key of PACKAGES.
        options: its options, with `class`; the constructor receives copies of its own.
        provided: further arguments; the constructor receives those that it names.
        allowed: modules that the user allowed.
        where: path of the component, for messages; None: the group; empty: its options are arguments of a function.

    Raises:
        ConfigError: invalid options, or an error that the constructor raised, with its path.
    """
    where, options = group if where is None else where, thawed(options)
    mistakes = check_component(group, options, where, allowed)
    if mistakes:
        raise ConfigError(mistakes.values())
    constructor = find(group, options, allowed, where)
    accepted = parameters(constructor)
    common: Mapping[type, Options] = {}
    if group == "cell":
        options, common = _split_common(options, constructor)
    arguments = {name: getattr(provided, name) for name in PROVIDED[group] if name in accepted}
    arguments |= _parts(constructor, {k: v for k, v in options.items() if k != "class"}, allowed, provided.cell, where)
    try:
        with during(lambda: f"while the {noun(group)} was constructed"):
            made = _constructed(constructor, arguments)
        if group != "data":  # its `spec` is set by `load`
            _check_attributes(made, CONTRACTS[group])
        return _finish(made, common) if common else made
    except (ValueError, DataError, RuntimeError, OverflowError) as error:
        if isinstance(error, OverflowError) or re.search("overflow|negative dimension|invalid shape", str(error)):
            raise ConfigError(
                [f"{where or 'it'} has a size that no tensor can have: {str(error).splitlines()[0]}"]
            ) from error
        # a ValueError is about an option; any other error of a user-defined constructor is a mistake in it
        if type(error) is RuntimeError and failure_of_own_part(error) is not None:
            raise
        common_names = [name for kind_options in common.values() for name in kind_options]
        raise ConfigError([_located(where, str(error), constructor, common_names)]) from error


def _parts(
    constructor: type, options: Options, allowed: Collection[str], cell: CellFactory | None, where: str
) -> Options:
    """The arguments of a constructor from its options; groups and components among them are constructed."""
    hints, made = type_hints(constructor), {}
    for name, value in options.items():
        hint, path = hints.get(name), path_in(where, name)
        if hint == BackboneFactory:
            value = _backbone_factory(value, allowed, cell, path)
        elif hint == CellFactories:
            value = [_inner_cell_factory(inner, allowed, f"{path}[{n}]") for n, inner in enumerate(value)]
        elif is_group(hint):
            try:
                value = hint(**_parts(hint, value, allowed, cell, path))
            except ValueError as error:
                raise ConfigError([_located(path, str(error), hint)]) from error
        else:
            value = with_classes(value, hint, allowed, path)
        made[name] = value
    return made


def _constructed(constructor: type, arguments: Options) -> Any:
    """Call a constructor. One that fails on the meta device because it reads tensor values is called on the CPU, and
    the result is moved.
    """
    try:
        return constructor(**arguments)
    except RuntimeError as error:
        if torch.get_default_device().type != "meta" or "meta tensor" not in str(error).lower():
            raise
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return constructor(**arguments).to("meta")


def _check_attributes(made: object, contract: type) -> None:
    """Raise PartError if a component lacks an attribute that its base class declares without a value."""
    declared = [name for name in vars(contract).get("__annotations__", ()) if not hasattr(contract, name)]
    missing = [f"self.{name}" for name in declared if not hasattr(made, name)]
    if missing:
        name = f"{type(made).__module__}.{type(made).__qualname__}"
        raise PartError(f"{name}.__init__ does not set {', '.join(missing)}, which every {contract.__name__} has")


def _finish(cell: Cell, common: Mapping[type, Options]) -> Cell:
    """Apply the common options of cells."""
    initialise(cell, Initialisation(**common[Initialisation]))
    cell.engine = Execution(**common[Execution]).engine
    return modify(cell, Modifiers(**common[Modifiers]))


def _located(where: str, text: str, constructor: type, others: Iterable[str] = ()) -> str:
    """The message of a constructor in which options have their paths. An option is the first word, or any word with an
    underscore or before an equals sign, that names one.
    """
    paths = {name: path_in(where, name) for name in (*parameters(constructor), *others)}
    for group, hint in type_hints(constructor).items():
        if is_group(hint) and hint is not DataSpec:
            paths = {name: path_in(where, f"{group}.{name}") for name in parameters(hint)} | paths

    def with_path(match: re.Match[str]) -> str:
        provided = any(match[0] in names for names in PROVIDED.values())
        is_option = match.start() == 0 or (not provided and ("_" in match[0] or text[match.end() :].startswith("=")))
        return paths.get(match[0], match[0]) if is_option else match[0]

    located = re.sub(r"(?<![\w.'\"/-])\w+(?![\w./-])", with_path, text)
    return located if not where or located.startswith(f"{where}.") else f"{where}: {located}"


def make_cell_factory(options: Options, allowed: Collection[str], where: str) -> CellFactory:
    """A function (input_size, hidden_size) -> cell.

    Args:
        options: of the cell, with `class`.
        allowed: modules that the user allowed.
        where: path of the cell, for messages.

    Raises:
        ConfigError: invalid options; the function raises it for invalid sizes.
    """
    mistakes = check_component("cell", options, where, allowed)
    if mistakes:
        raise ConfigError(mistakes.values())

    def factory(input_size: int, hidden_size: int) -> Cell:
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not fits(size, int):
                raise ConfigError([f"{name} is {size!r:.60}: it must be an integer"])
            if size < 1:
                least = "a cell has at least one unit" if name == "hidden_size" else "a cell reads at least one number"
                raise ConfigError([f"{name} is {size}: {least}"])
            if size > WIDEST:
                raise ConfigError([f"{name} is {size:.4g}: a cell has at most {WIDEST:,}"])
        return make("cell", options, Provided(input_size=input_size, hidden_size=hidden_size), allowed, where)

    return factory


def _inner_cell_factory(options: Options | str | None, allowed: Collection[str], where: str) -> CellFactory | None:
    """The factory of a cell that replaces that of the model, from its name or options; None: not given."""
    if options is None:
        return None
    return make_cell_factory(composing.load("cell", options) if isinstance(options, str) else options, allowed, where)


def _backbone_factory(
    options: Options | str, allowed: Collection[str], cell: CellFactory | None, where: str
) -> BackboneFactory:
    """The factory of a backbone inside another component; its cell is that of the model unless it names one."""
    if isinstance(options, str):
        options = composing.load("backbone", options)
    cell = _inner_cell_factory(options.get("cell"), allowed, f"{where}.cell") or cell
    rest = {name: value for name, value in options.items() if name != "cell"}
    return lambda input_size: make("backbone", rest, Provided(cell=cell, input_size=input_size), allowed, where)


def _split_common(options: Options, constructor: type) -> tuple[Options, Mapping[type, Options]]:
    """The options of a cell itself, and those that every cell has: initialisation, regularisation, engine."""
    of_cell = parameters(constructor).keys()
    common: dict[type, Options] = {
        kind: {name: value for name, value in options.items() if name in parameters(kind).keys() - of_cell}
        for kind in (Initialisation, Modifiers, Execution)
    }
    taken = {name for given in common.values() for name in given}
    return {name: value for name, value in options.items() if name not in taken}, common


def check_component(
    group: str, options: Any, where: str, allowed: Collection[str], beside: Iterable[str] = ()
) -> dict[str, str]:
    """An error message for each invalid option of a component, by its path.

    Args:
        beside: options of other components; suggested for unknown names.
    """
    options = thawed(options)
    if not isinstance(options, dict):
        return {"class": f"{where} is {shown(options)}: it must be a mapping with a class and its options"}
    try:
        constructor = find(group, options, allowed, where)
    except ConfigError as error:
        return {"class": str(error)}
    plain: Options = {name: value for name, value in options.items() if name != "class"}
    mistakes: dict[str, str] = {}
    others = list(beside)
    if group == "cell":
        plain, common = _split_common(plain, constructor)
        for kind, given in common.items():
            mistakes |= check_options(where, kind, given)
            others += parameters(kind)
    mistakes |= check_options(where, constructor, plain, set(PROVIDED[group]) & parameters(constructor).keys(), others)
    if group == "cell":
        mistakes = _too_large(where, options) | mistakes
    for path, hint, value in leaves(constructor, plain):
        inside: list[str] = []
        if hint == CellFactories:
            inside = _check_cells(value, path_in(where, path), allowed)
        elif hint == BackboneFactory and path not in mistakes:
            inside = _check_nested(value, path_in(where, path), allowed)
        elif path not in mistakes:
            try:
                with_classes(value, hint, allowed, path_in(where, path))
            except ConfigError as error:
                inside = error.mistakes
        if inside:
            mistakes[path] = "\n".join(inside)
    return mistakes


def _too_large(where: str, options: Options) -> dict[str, str]:
    """A message for each number of a cell's options that no state or weight could follow in single precision."""
    return {
        name: f"{path_in(where, name)} is {value:g}: it must be between -{LARGEST_FLOAT:,} and {LARGEST_FLOAT:,}"
        for name, value in options.items()
        if isinstance(value, float) and LARGEST_FLOAT < abs(value) < math.inf
    }


def _check_nested(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a backbone inside another component, whose cell may be a name."""
    if isinstance(options, str):
        return _unknown("backbone", options)
    if not isinstance(options, dict):
        return [f"{where} is {shown(options)}: it must be a backbone's name, or a mapping with a class and its options"]
    plain = {name: value for name, value in options.items() if name != "cell"}
    wrong = list(check_component("backbone", plain, where, allowed).values())
    return wrong + _check_inner_cell(options.get("cell"), f"{where}.cell", allowed)


def _check_cells(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a list of cells inside a backbone."""
    if not isinstance(options, list):
        wanted = "a list of cells' names, such as [lstm, gru]; null is the model's own"
        return [f"{where} is {shown(options)}: it must be {wanted}"]
    return [
        mistake
        for number, inner in enumerate(options)
        for mistake in _check_inner_cell(inner, f"{where}[{number}]", allowed)
    ]


def _check_inner_cell(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a cell that replaces that of the model: a name, a mapping, or None."""
    if options is None:
        return []
    if isinstance(options, str):
        return _unknown("cell", options)
    return list(check_component("cell", options, where, allowed).values())


def _unknown(group: str, name: str) -> list[str]:
    known = registry.names(group)
    return [] if name in known else [f"there is no {group} named {name!r}{closest(name, known)}"]
