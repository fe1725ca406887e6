"""Recurrent cells, the equations of one time step, one per file; `cell.py` is the base class, `network` stacks them."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
