"""The tasks of `conf/task` by what they can do or read, for messages that say which ones to choose instead."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from seqzoo.configuration import registry
from seqzoo.configuration.components import find
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import Options
from seqzoo.contracts.parts import Task


def having(capability: type) -> str:
    """The tasks with a capability of `contracts/capabilities.py`, as in "task=regression or task=forecasting"."""
    methods = [name for name, member in vars(capability).items() if callable(member) and not name.startswith("_")]
    return joined(_names(lambda task: all(hasattr(task, method) for method in methods)))


def reading(kind: str) -> list[str]:
    """The tasks that read a kind of data, such as "task=tagging"."""
    return _names(lambda task: task.reads == kind)


def _names(suits: Callable[[type[Task]], bool]) -> list[str]:
    """The tasks whose class suits; a class of the user's own is not imported."""
    names = []
    for name in registry.names("task"):
        with suppress(ConfigError):
            if suits(find("task", _with_class(name), (), "task")):
                names.append(f"task={name}")
    return names


def _with_class(name: str) -> Options:
    """The options in the YAML file of a task, or of the one that it is based on, which has the class."""
    content = registry.file_content("task", name) or {}
    bases = [part for part in content.get("defaults", []) if isinstance(part, str) and part != "_self_"]
    return content if "class" in content or not bases else _with_class(bases[0])


def joined(names: list[str]) -> str:
    """Names as the end of a sentence: "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
