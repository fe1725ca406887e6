"""Imports point up the list in ARCHITECTURE.md: a batch flows down it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "seqzoo"
FILES = sorted(ROOT.rglob("*.py"))

BASE = {"cache", "contracts", "disk", "errors", "state"}
SHARED = BASE | {"masking", "linear_cross_entropy", "locked_dropout", "streams"}
# A package or file of seqzoo -> what it may import of seqzoo, besides its own package. What is not listed is on top of
# all others (build, cli, ...): it may import everything, and nothing listed here may import it.
MAY_IMPORT = {
    "contracts": BASE | {"kernels"},
    "errors": BASE,
    "cache": BASE,
    "disk": BASE,
    "locks": BASE,
    "state": BASE,
    "masking": BASE | {"kernels"},
    "locked_dropout": BASE,
    "streams": BASE,
    "linear_cross_entropy": BASE | {"masking"},
    "spans": BASE,
    "crf": SHARED,
    "verse": BASE,
    "data": SHARED | {"options", "spans", "verse"},
    "kernels": SHARED,
    "cells": SHARED | {"kernels"},
    "imagenet": BASE,
    "encoders": SHARED | {"imagenet"},
    "backbones": SHARED,
    "attention": SHARED,
    "decoder": SHARED | {"attention"},
    "saliency": SHARED,
    "pooling": SHARED | {"attention"},
    "decoding": SHARED,
    "heads": SHARED,
    "caption_scores": BASE,
    "metrics": SHARED | {"spans", "caption_scores"},
    "tasks": SHARED
    | {"attention", "crf", "decoder", "decoding", "heads", "metrics", "pooling", "saliency", "spans", "verse"},
    "cost": SHARED | {"model"},
    "budget": BASE,
    "options": BASE,
    "config": BASE | {"options"},
    "model": SHARED,
    "drawing": SHARED,
    "ridge": SHARED,
    "dynamics": SHARED | {"model", "ridge"},
    "training": SHARED | {"metrics", "config", "model", "drawing", "dynamics", "locks", "options"},
}


def part(path: Path) -> str:
    """The package, or the file on top of seqzoo, that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The dotted names a file imports, wherever in the file; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_up(path: Path) -> None:
    own = part(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("seqzoo.")}
    assert used - {own} <= MAY_IMPORT.get(own, used), f"{own} may import {sorted(MAY_IMPORT[own])} of seqzoo"


def test_one_file_imports_torchtext() -> None:
    users = [path.name for path in FILES if any(name.split(".")[0] == "torchtext" for name in imports(path))]
    assert len(users) <= 1, users


def test_every_file_is_named_after_what_it_holds() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "misc", "common")]


@pytest.mark.parametrize("module", ["seqzoo", "seqzoo.cli", "seqzoo.config"])
def test_the_command_line_starts_without_torch(module: str) -> None:
    """--help and completion answer at once only as long as torch, which takes over a second, is imported later."""
    code = f"import sys, {module}; sys.exit('torch is imported' if 'torch' in sys.modules else 0)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
