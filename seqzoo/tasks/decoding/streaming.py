"""Streaming: showing a text while it is generated."""

from __future__ import annotations

from collections.abc import Callable

Stream = Callable[[list[int], list[int]], None]
"""Called with row numbers and a token for each: at every step, or once per row at the end of a beam search."""


def in_pieces(decode: Callable[[list[int]], str], write: Callable[[str], None], end: int | None = None) -> Stream:
    """Create a stream that passes each new piece of the text of a single row to a function.

    Args:
        decode: ids to text.
        write: called with each piece.
        end: the token that ends a text, which is not shown.
    """
    ids: list[int] = []
    shown = ""

    def add(rows: list[int], tokens: list[int]) -> None:
        nonlocal shown
        ids.extend(token for token in tokens if token != end)
        before, shown = shown, decode(ids)
        write(shown[len(before) :])

    return add
