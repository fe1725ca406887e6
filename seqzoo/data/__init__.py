"""Data modules: from files or generators to batches. Nothing here depends on a model."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
