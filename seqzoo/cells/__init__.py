"""The equations of one time step, one cell a file; `cell.py` is their contract, `network` stacks them."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
