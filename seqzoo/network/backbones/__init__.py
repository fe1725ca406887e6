"""A cell becomes a network over (B, T, I), one way of stacking a file."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
