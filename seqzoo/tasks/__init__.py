"""What is asked of a network, one task a file: head, loss, metrics; searching for answers is in `decoding`."""

from __future__ import annotations

from typing import Any

from seqzoo.contracts.class_index import class_of


def __getattr__(name: str) -> Any:
    return class_of(__name__, name)
