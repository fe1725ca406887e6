"""Imports point one way: down this list of rooms, from the last to the first."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "seqzoo"
FILES = sorted(ROOT.rglob("*.py"))

ROOMS = (
    "contracts", "kernels", "cells", "data", "metrics", "network", "tasks", "baselines", "learning", "inspection",
    "training", "configuration", "rnn", "runs", "analysis", "commands",
)  # fmt: skip
"""A room may import itself and the rooms before it; the files beside them any room."""

FILES_BESIDE_ROOMS = {"__init__.py", "__main__.py", "py.typed"}

LATER = {"runs/launch.py", "runs/hyperparameter_search.py", "analysis/catalogue.py", "kernels/fused/scan.py"}
"""Besides the commands: files that import parts of seqzoo inside functions, so that listing names does not load torch,
nor a CPU the code for GPUs.
"""


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names that are imported, wherever in the file; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def optional(module: str) -> bool:
    """Whether a module of seqzoo imports Triton at its top, which is not installed everywhere."""
    path = ROOT.parent.joinpath(*module.split(".")).with_suffix(".py")
    return path.is_file() and any(name.split(".")[0] == "triton" for name in imports(parsed(path)))


def test_every_package_is_in_the_list() -> None:
    assert {
        path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("__pycache__", "conf", "pretrained")
    } == {*ROOMS}


def test_a_new_file_belongs_in_a_package() -> None:
    assert {path.name for path in ROOT.iterdir() if path.is_file()} == FILES_BESIDE_ROOMS


def test_imports_point_down() -> None:
    allowed = {name: {*ROOMS[: place + 1]} for place, name in enumerate(ROOMS)}
    used = {(path, name) for path in FILES for name in imports(parsed(path)) if name.startswith("seqzoo.")}
    assert not [
        f"{path} imports {name}"
        for path, name in used
        if room(path) in ROOMS and name.split(".")[1] not in allowed[room(path)]
    ]


def test_no_package_after_tasks_imports_a_task() -> None:
    """They ask for capabilities (`contracts/capabilities.py`), and import of the tasks what a search raises alone."""
    later = [path for path in FILES if room(path) in ROOMS[ROOMS.index("tasks") + 1 :]]
    used = {name for path in later for name in imports(parsed(path)) if name.startswith("seqzoo.tasks.")}
    assert {name for name in used if not name.startswith("seqzoo.tasks.decoding.")} == set()


def test_no_two_files_import_each_other() -> None:
    """An `__init__.py` is imported by the name of its package. Imports for type checkers count, too."""
    names = {
        ".".join(("seqzoo", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in FILES
    }

    def module(used: str) -> str:
        """The file that is imported: a module, or the one that holds an imported name."""
        return used if used in names else used.rpartition(".")[0]

    arrows = {name: {module(used) for used in imports(parsed(path))} & names.keys() for name, path in names.items()}
    while arrows:
        free = [name for name, used in arrows.items() if not used & arrows.keys() - {name}]
        assert free, f"a circle among {sorted(arrows)}"
        arrows = {name: used for name, used in arrows.items() if name not in free}


def test_no_import_inside_a_function() -> None:
    inside = {
        (path, name)
        for path in FILES
        if room(path) != "commands" and path.relative_to(ROOT).as_posix() not in LATER
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        for name in imports(node)
        if name.startswith("seqzoo.")
    }
    assert not [
        f"{path} imports {name}"
        for path, name in inside
        if not optional(name.rpartition(".")[0]) and not optional(name)
    ]


def test_every_package_has_a_docstring() -> None:
    for path in FILES:
        if path.name == "__init__.py":
            sentence = ast.get_docstring(parsed(path)) or ""
            assert sentence.split("\n")[0].endswith("."), f"{path} begins with one sentence"


def test_one_file_imports_torchtext() -> None:
    users = [path.name for path in FILES if any(name.split(".")[0] == "torchtext" for name in imports(parsed(path)))]
    assert len(users) <= 1, users


def test_no_name_twice() -> None:
    names = Counter(path.name for path in FILES if path.name != "__init__.py")
    assert [name for name, times in names.items() if times > 1] == []


def test_every_file_is_named_after_what_it_holds() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "misc", "common")]


@pytest.mark.parametrize("module", ["seqzoo", "seqzoo.commands.main", "seqzoo.configuration.composing"])
def test_the_command_line_starts_without_torch(module: str) -> None:
    """--help and completion answer at once only as long as torch, which takes over a second, is imported later."""
    code = f"import sys, {module}; sys.exit('torch is imported' if 'torch' in sys.modules else 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
