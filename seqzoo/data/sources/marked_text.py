"""Texts that mark the part that is asked about: "the [[battery]] dies too soon"."""

from __future__ import annotations

import re
from collections.abc import Callable

from seqzoo.contracts.errors import DataError

_MARKED = re.compile(r"(.*?)\[\[(.+?)\]\](.*)", re.DOTALL)
ADVICE = "put [[ and ]] around one target, as in: the [[battery]] dies too soon"


def mark(before: str, target: str, after: str) -> str:
    return f"{before}[[{target}]]{after}"


def split_marked(text: str, split: Callable[[str], list[str]]) -> tuple[list[str], tuple[int, int]]:
    """The tokens of a text without its marks, the first token of its target and the one after its last.

    Raises DataError as `marked_parts`, and where a target has no tokens.
    """
    before, target, after = map(split, marked_parts(text))
    if not target:
        raise DataError(f"The marked target holds no token: {ADVICE}.")
    start = len(before)
    return [*before, *target, *after], (start, start + len(target))


def marked_parts(text: str) -> tuple[str, str, str]:
    """What stands before the target, the target, and what stands after it.

    Raises DataError where no target is marked, or more than one.
    """
    found = _MARKED.fullmatch(text)
    if found is None:
        raise DataError(f"No target is marked: {ADVICE}.")
    if "[[" in found[3] and "]]" in found[3]:
        raise DataError(f"More than one target is marked: {ADVICE}.")
    return found[1], found[2], found[3]
