"""Which pairs of names are tried quickly. Every pair is a test, most of them under `-m slow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

EVERY = 4


def pairs(rows: Sequence[Any], columns: Sequence[Any], shift: int = 0) -> list[Any]:
    """All pairs of two lists as parameters; three of four, or all but one of a shorter list, are marked slow.

    The quick pairs lie on diagonals of the table, so that every name of either list, a new one too, is in one of them
    and meets names from all over the other list.

    Args:
        rows: the first parameter.
        columns: the second parameter.
        shift: moves the diagonals, so that tests of the same two lists try different pairs.
    """
    every = min(EVERY, len(rows), len(columns))
    return [
        pytest.param(row, column, marks=() if (i - k - shift) % every == 0 else pytest.mark.slow)
        for i, row in enumerate(rows)
        for k, column in enumerate(columns)
    ]
