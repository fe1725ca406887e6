"""One component of a model by its options: its class is found, its options are checked, it is constructed.

A configuration names classes of seqzoo's own packages, or of modules that the user allowed by name on this command
line; it cannot run anything else.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterable, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

import torch

from seqzoo.cells.cell import Cell, CellFactories, CellFactory
from seqzoo.cells.initialisation import Initialisation, initialise
from seqzoo.cells.modified import Modifiers, modify
from seqzoo.configuration import composing, registry
from seqzoo.configuration.budget import WIDEST
from seqzoo.contracts.class_index import modules
from seqzoo.contracts.errors import ConfigError, DataError, closest
from seqzoo.contracts.options import Options, check_options, fits, is_group, leaves, parameters, shown, type_hints
from seqzoo.contracts.parts import Backbone, BackboneFactory, DataModule, Encoder, Metric, Task
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


# what each kind of constructor is handed, besides its options
PROVIDED = {
    "cell": ("input_size", "hidden_size"),
    "backbone": ("cell", "input_size"),
    "encoder": ("input_size", "spec"),
    "task": ("feature_size", "spec", "encoder_state", "embedding"),
    "data": (),
    "learning": (),
}


def find(group: str, options: Options, allowed: Collection[str], where: str) -> Any:
    """The class that `class:` names."""
    name = options.get("class")
    if not isinstance(name, str):
        raise ConfigError(
            [f"{where}.class is {shown(name)}: name a class of {PACKAGES[group]}, or module.Class of your own"]
        )
    if "." in name:
        return own_class(name, CONTRACTS[group], group, allowed, f"{where}.class")
    homes = modules(PACKAGES[group])
    if name not in homes:
        raise ConfigError([f"{where}.class is {name!r}: there is no such {group}.{closest(name, homes)}"])
    return _class_in(homes[name], name, CONTRACTS[group], group, f"{where}.class is {name!r}")


def own_class(name: str, contract: type, what: str, allowed: Collection[str], where: str) -> Any:
    """The class that `module.Class` names, of a module that the user allowed.

    Args:
        name: as it stands in the configuration.
        contract: what it has to inherit from.
        what: a word for such classes.
        allowed: the modules that the user allowed.
        where: the option that names it.
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError([f"{where} is {name!r}: name a class of your own, module.Class"])
    if module not in allowed:
        allow = f"'allow_modules=[{module}]', or for a finished run --allow-module {module}"
        raise ConfigError([f"{where} is {name!r}, outside seqzoo: if you trust it, add {allow}"])
    return _class_in(module, attribute, contract, what, f"{where} is {name!r}")


def _class_in(module: str, attribute: str, contract: type, what: str, told: str) -> Any:
    try:
        members = vars(importlib.import_module(module))
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError([f"{told}, but {module} cannot be imported: {error}"]) from error
    classes = {name: value for name, value in members.items() if isinstance(value, type)}
    if attribute not in classes:
        names = [name for name, value in classes.items() if issubclass(value, contract)]
        raise ConfigError([f"{told}: there is no such {what}.{closest(attribute, names)}"])
    if not issubclass(classes[attribute], contract):
        home = "seqzoo" if contract in (*CONTRACTS.values(), Metric) else contract.__module__.rpartition(".")[0]
        raise ConfigError([f"{told}, which does not inherit from {home}.{contract.__name__}"])
    return classes[attribute]


def with_classes(value: Any, hint: Any, allowed: Collection[str], where: str) -> Any:
    """An option with the classes that it names in place of their names, where its type has a place for them:
    `type[Contract]`. A text without a dot stays one where the type has a place for that, too.
    """
    arguments = get_args(hint)
    if get_origin(hint) in (list, Sequence) and isinstance(value, list):
        return [with_classes(item, arguments[0], allowed, where) for item in value]
    alternatives = arguments if get_origin(hint) in (Union, UnionType) else [hint]
    contracts = [get_args(choice)[0] for choice in alternatives if get_origin(choice) is type]
    if contracts and isinstance(value, str) and ("." in value or str not in alternatives):
        return own_class(value, contracts[0], contracts[0].__name__.lower(), allowed, where)
    return value


def make(
    group: str,
    options: Options,
    provided: dict[str, Any],
    allowed: Collection[str],
    cell: CellFactory | None = None,
    where: str | None = None,
) -> Any:
    """Construct what `options` describe. What the constructor refuses becomes a ConfigError that says where."""
    where = where or group
    mistakes = check_component(group, options, where, allowed)
    if mistakes:
        raise ConfigError(mistakes.values())
    found = find(group, options, allowed, where)
    known = parameters(found)
    common: dict[type, dict[str, Any]] = {}
    if group == "cell":
        options, common = _split_common(options, found)
    arguments = {name: value for name, value in provided.items() if name in PROVIDED[group] and name in known}
    arguments |= _parts(found, {k: v for k, v in options.items() if k != "class"}, allowed, cell, where)
    try:
        made = _constructed(found, arguments)
        return _finish(made, common) if common else made
    except (ValueError, DataError, RuntimeError, OverflowError) as error:
        if isinstance(error, OverflowError) or re.search("overflow|negative dimension|invalid shape", str(error)):
            raise ConfigError([f"{where} has a size that no tensor can have: {str(error).splitlines()[0]}"]) from error
        own = [name for given in common.values() for name in given]
        raise ConfigError([_located(where, str(error), found, own)]) from error


def _parts(
    constructor: type, options: Options, allowed: Collection[str], cell: CellFactory | None, where: str
) -> dict[str, Any]:
    """Options as a constructor takes them: groups and components among them are made."""
    hints, made = type_hints(constructor), {}
    for name, value in options.items():
        hint, path = hints.get(name), f"{where}.{name}"
        if hint == BackboneFactory:
            value = _backbone_factory(value, allowed, cell, path)
        elif hint == CellFactories:
            value = [_own_cell_factory(own, allowed, f"{path}[{n}]") for n, own in enumerate(value)]
        elif is_group(hint):
            try:
                value = hint(**_parts(hint, value, allowed, cell, path))
            except ValueError as error:
                raise ConfigError([_located(path, str(error), hint)]) from error
        else:
            value = with_classes(value, hint, allowed, path)
        made[name] = value
    return made


def _constructed(constructor: type, arguments: dict[str, Any]) -> Any:
    """What a constructor makes. Where no memory is to be used (device meta), one that reads the values of its tensors,
    which there are none of, is called in memory, and what it made is moved.
    """
    try:
        return constructor(**arguments)
    except RuntimeError as error:
        if torch.get_default_device().type != "meta" or "meta tensor" not in str(error).lower():
            raise
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return constructor(**arguments).to("meta")


def _finish(cell: Cell, common: dict[type, dict[str, Any]]) -> Cell:
    """A cell with the options that every cell has."""
    initialise(cell, Initialisation(**common[Initialisation]))
    cell.engine = Execution(**common[Execution]).engine
    return modify(cell, Modifiers(**common[Modifiers]))


def _located(where: str, text: str, constructor: type, others: Iterable[str] = ()) -> str:
    """A constructor's complaint, which may begin with the name of an option, with the place of the component."""
    if text.startswith(f"{where}."):
        return text
    first = text.partition(" ")[0].partition("=")[0]
    if first in parameters(constructor) or first in others:
        return f"{where}.{text}"
    for name, hint in type_hints(constructor).items():
        if is_group(hint) and hint is not DataSpec and first in parameters(hint):
            return f"{where}.{name}.{text}"
    return f"{where}: {text}"


def make_cell_factory(options: Options, allowed: Collection[str], where: str) -> CellFactory:
    mistakes = check_component("cell", options, where, allowed)
    if mistakes:
        raise ConfigError(mistakes.values())

    def factory(input_size: int, hidden_size: int) -> Cell:
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not fits(size, int):
                raise ConfigError([f"{name} is {size!r:.60}: it must be a whole number"])
            if size < 1:
                least = "a cell has at least one unit" if name == "hidden_size" else "a cell reads at least one number"
                raise ConfigError([f"{name} is {size}: {least}"])
            if size > WIDEST:
                raise ConfigError([f"{name} is {size:.4g}: a cell has at most {WIDEST:,}"])
        return make("cell", options, {"input_size": input_size, "hidden_size": hidden_size}, allowed, where=where)

    return factory


def _own_cell_factory(options: Options | str | None, allowed: Collection[str], where: str) -> CellFactory | None:
    """A cell that stands in for the model's, by its name or its options; None where there is none."""
    if options is None:
        return None
    return make_cell_factory(composing.load("cell", options) if isinstance(options, str) else options, allowed, where)


def _backbone_factory(
    options: Options | str, allowed: Collection[str], cell: CellFactory | None, where: str
) -> BackboneFactory:
    """A backbone inside another component: its cell is the model's own unless it names one."""
    if isinstance(options, str):
        options = composing.load("backbone", options)
    cell = _own_cell_factory(options.get("cell"), allowed, f"{where}.cell") or cell
    rest = {name: value for name, value in options.items() if name != "cell"}
    return lambda input_size: make("backbone", rest, {"cell": cell, "input_size": input_size}, allowed, where=where)


def _split_common(options: Options, found: type) -> tuple[dict[str, Any], dict[type, dict[str, Any]]]:
    """The options of a cell itself, and those that every cell has: how it starts, what is done to its state, and how it
    is computed.
    """
    own = parameters(found).keys()
    common: dict[type, dict[str, Any]] = {
        kind: {name: value for name, value in options.items() if name in parameters(kind).keys() - own}
        for kind in (Initialisation, Modifiers, Execution)
    }
    taken = {name for given in common.values() for name in given}
    return {name: value for name, value in options.items() if name not in taken}, common


def check_component(
    group: str, options: Any, where: str, allowed: Collection[str], beside: Iterable[str] = ()
) -> dict[str, str]:
    """The options of one component that have a mistake, by their path, and a sentence for each.

    beside: options that are given beside its own, which an unknown name may have meant.
    """
    if not isinstance(options, dict):
        return {"class": f"{where} is {shown(options)}: it must be a mapping with a class and its options"}
    try:
        found = find(group, options, allowed, where)
    except ConfigError as error:
        return {"class": str(error)}
    plain = {name: value for name, value in options.items() if name != "class"}
    mistakes: dict[str, str] = {}
    others = list(beside)
    if group == "cell":
        plain, common = _split_common(plain, found)
        for kind, given in common.items():
            mistakes |= check_options(where, kind, given)
            others += parameters(kind)
    mistakes |= check_options(where, found, plain, set(PROVIDED[group]) & parameters(found).keys(), others)
    for path, hint, value in leaves(found, plain):
        inside: list[str] = []
        if hint == CellFactories:
            inside = _check_cells(value, f"{where}.{path}", allowed)
        elif hint == BackboneFactory and path not in mistakes:
            inside = _check_nested(value, f"{where}.{path}", allowed)
        elif path not in mistakes:
            try:
                with_classes(value, hint, allowed, f"{where}.{path}")
            except ConfigError as error:
                inside = error.mistakes
        if inside:
            mistakes[path] = "\n".join(inside)
    return mistakes


def _check_nested(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a backbone inside another component, whose cell may be a name."""
    if isinstance(options, str):
        return _unknown("backbone", options)
    if not isinstance(options, dict):
        return [f"{where} is {shown(options)}: it must be a backbone's name, or a mapping with a class and its options"]
    plain = {name: value for name, value in options.items() if name != "cell"}
    wrong = list(check_component("backbone", plain, where, allowed).values())
    return wrong + _check_own_cell(options.get("cell"), f"{where}.cell", allowed)


def _check_cells(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a list of cells inside a backbone."""
    if not isinstance(options, list):
        wanted = "a list of cells' names, such as [lstm, gru]; null is the model's own"
        return [f"{where} is {shown(options)}: it must be {wanted}"]
    return [
        mistake for number, own in enumerate(options) for mistake in _check_own_cell(own, f"{where}[{number}]", allowed)
    ]


def _check_own_cell(options: Any, where: str, allowed: Collection[str]) -> list[str]:
    """Mistakes in a cell that stands in for the model's: a name, or a mapping; None where there is none."""
    if options is None:
        return []
    if isinstance(options, str):
        return _unknown("cell", options)
    return list(check_component("cell", options, where, allowed).values())


def _unknown(group: str, name: str) -> list[str]:
    known = registry.names(group)
    return [] if name in known else [f"there is no {group} named {name!r}.{closest(name, known)}"]
