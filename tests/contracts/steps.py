"""One step in NumPy for every name in conf/cell, from equations.py and the families' equations_*.py."""

from __future__ import annotations

import importlib
from pathlib import Path

from seqzoo.analysis.cell_checks import Equation

STEPS: dict[str, Equation] = {
    name: step
    for path in sorted(Path(__file__).parent.glob("equations*.py"))
    for name, step in importlib.import_module(f"tests.contracts.{path.stem}").STEPS.items()
}
