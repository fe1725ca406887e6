"""Texts that mark the part that is asked about: "the [[battery]] dies too soon"."""

from __future__ import annotations

import re
from collections.abc import Callable

from seqzoo.errors import DataError

_MARKED = re.compile(r"(.*?)\[\[(.+?)\]\](.*)", re.DOTALL)
ADVICE = "put [[ and ]] around one target, as in: the [[battery]] dies too soon"


def mark(before: str, target: str, after: str) -> str:
    return f"{before}[[{target}]]{after}"


def split_marked(text: str, split: Callable[[str], list[str]]) -> tuple[list[str], tuple[int, int]]:
    """The tokens of a text without its marks, the first token of its target and the one after its last.

    Raises DataError where no target is marked, more than one, or one without tokens.
    """
    found = _MARKED.fullmatch(text)
    if found is None:
        raise DataError(f"No target is marked: {ADVICE}.")
    if "[[" in found[3] and "]]" in found[3]:
        raise DataError(f"More than one target is marked: {ADVICE}.")
    before, target, after = (split(part) for part in found.groups())
    if not target:
        raise DataError(f"The marked target holds no token: {ADVICE}.")
    start = len(before)
    return [*before, *target, *after], (start, start + len(target))
