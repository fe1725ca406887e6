"""Text that is shown while it is written."""

from __future__ import annotations

from collections.abc import Callable

Stream = Callable[[list[int], list[int]], None]
"""Called with the rows that wrote and their tokens: at every step or, where the best of several hypotheses is known
only at the end, once for each row."""


def in_pieces(decode: Callable[[list[int]], str], write: Callable[[str], None], end: int | None = None) -> Stream:
    """Of one row: hands each piece of its text to `write`."""
    ids: list[int] = []
    shown = ""

    def add(rows: list[int], tokens: list[int]) -> None:
        nonlocal shown
        ids.extend(token for token in tokens if token != end)
        before, shown = shown, decode(ids)
        write(shown[len(before) :])

    return add
