"""Unexpected values of options: every component uses them or refuses them in one sentence."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from seqzoo.cells.elman import Elman
from seqzoo.configuration import registry
from seqzoo.configuration.budget import Budget
from seqzoo.configuration.components import PACKAGES, PROVIDED, Provided, find, make
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import is_group, parameters, type_hints
from seqzoo.contracts.spec import DataSpec
from seqzoo.training.settings import Training

VALUES: tuple[Any, ...] = (
    None, True, "abc", "", [], [1, "x"], {"a": 1}, -1, 0, 10**9, 10**30, float("nan"), float("inf"), 0.5, 1.0, 1e300,
    "x" * 10_000,
)  # fmt: skip


def options_of(constructor: type, above: str = "") -> Iterator[tuple[str, Any]]:
    """(path, class that writes it) of the options of a class and of those in its groups."""
    for name in parameters(constructor):
        hint = type_hints(constructor).get(name)
        if is_group(hint) and hint is not DataSpec:
            yield from options_of(hint, f"{above}{name}.")
        yield f"{above}{name}", next(base for base in constructor.__mro__ if writes(base, name))


def writes(base: type, name: str) -> bool:
    if is_dataclass(base):
        return name in vars(base).get("__annotations__", {})
    return "__init__" in vars(base) and name in inspect.signature(base.__init__).parameters


@functools.cache
def cases() -> dict[str, dict[str, list[str]]]:
    """group -> name -> options: of each class one name, and each option once, however many classes inherit it."""
    seen: set[tuple[Any, str]] = set()
    found: dict[str, dict[str, list[str]]] = {}
    for group in PACKAGES:
        for name in registry.names(group):
            text = (registry.CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")
            written = re.search(r"^class: (\w+)$", text, flags=re.MULTILINE)
            if not written:
                continue
            owned = dict(options_of(find(group, {"class": written[1]}, {}, group)))
            paths = [path for path in owned if path not in PROVIDED[group] and (owned[path], path) not in seen]
            seen.update((owned[path], path) for path in paths)
            if paths:
                found.setdefault(group, {})[name] = paths
    return found


def changed(options: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    inner = options.get(first)
    return {**options, first: changed(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def resolved(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a name alone, with numbers in place of what they take from other components, and files."""
    plain: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            plain[name] = resolved(value)
        elif value == "???":
            plain[name] = "file"
        else:
            plain[name] = 8 if str(value).startswith("${") else value
    return plain


def stand_ins(name: str) -> Provided:
    picture = [3, 32, 32] if "image" in name or "torchvision" in name else None
    width = 3 if picture else 8
    return Provided(
        spec=DataSpec("", 100, 100, character_size=100, picture=picture),
        encoder_state=((torch.zeros(1, 8),),),
        embedding=nn.Embedding(100, 8),
        input_size=width,
        feature_size=8,
        hidden_size=8,
        cell=Elman,
    )


@pytest.mark.parametrize("group", PACKAGES)
def test_every_option_takes_or_refuses_any_value(group: str) -> None:
    wrong = []
    with torch.device("meta"):
        for name, paths in cases()[group].items():
            path = registry.CONF_DIR / group / f"{name}.yaml"
            base = resolved(yaml.safe_load(path.read_text(encoding="utf-8")))
            provided = stand_ins(name)
            for option in paths:
                for value in VALUES:
                    try:
                        make(group, changed(base, option, value), provided, {})
                    except ConfigError as error:
                        wrong += [f"{name}.{option}={value!r}: {told}" for told in error.mistakes if len(told) > 300]
                    except Exception as error:
                        wrong.append(f"{name}.{option}={str(value)[:30]!r}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def declaring() -> Iterator[type]:
    """All classes, and groups of options, that declare conditions between options."""
    for group, names in cases().items():
        for name in names:
            text = (registry.CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")
            constructor = find(group, yaml.safe_load(text), {}, group)
            yield constructor
            yield from (hint for hint in type_hints(constructor).values() if is_group(hint))
    yield from (Training, Budget)


def test_conditions_name_existing_options() -> None:
    declared = 0
    everything = {
        f"{group}.{option}" for group in ("data", "task") for names in cases()[group].values() for option in names
    }
    for constructor in set(declaring()):
        for attribute in ("acts_with", "needs"):
            for option, condition in getattr(constructor, attribute, {}).items():
                declared += 1
                assert option in parameters(constructor)
                for clause in re.split(" and | or ", condition):
                    other = re.split("!=|=|>", clause)[0]
                    assert other in parameters(constructor) or other in everything, (constructor, clause)
    assert declared > 40
