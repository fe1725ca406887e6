"""Tasks, one per file: head, loss, metrics and answers. Search algorithms are in `decoding`."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
