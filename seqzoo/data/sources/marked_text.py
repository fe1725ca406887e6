"""Texts with a marked target: "the [[battery]] dies too soon"."""

from __future__ import annotations

import re
from collections.abc import Callable

from seqzoo.contracts.errors import DataError

_MARKED = re.compile(r"(.*?)\[\[(.+?)\]\](.*)", re.DOTALL)
ADVICE = "put [[ and ]] around one target, as in: the [[battery]] dies too soon"


def mark(before: str, target: str, after: str) -> str:
    """A text with its target in double brackets."""
    return f"{before}[[{target}]]{after}"


def split_marked(text: str, split: Callable[[str], list[str]]) -> tuple[list[str], tuple[int, int]]:
    """Tokenize a text with a marked target.

    Args:
        text: with the marks.
        split: the tokenizer.

    Returns:
        The tokens without the marks, and the span of the target: its first token and the one after its last.

    Raises:
        DataError: as `marked_parts`, or the target has no tokens.
    """
    before, target, after = map(split, marked_parts(text))
    if not target:
        raise DataError(f"the marked target has no tokens: {ADVICE}")
    start = len(before)
    return [*before, *target, *after], (start, start + len(target))


def marked_parts(text: str) -> tuple[str, str, str]:
    """The text before the target, the target, and the text after it.

    Raises:
        DataError: there is no marked target, or more than one.
    """
    match = _MARKED.fullmatch(text)
    if match is None:
        raise DataError(f"no target is marked: {ADVICE}")
    if "[[" in match[3] and "]]" in match[3]:
        raise DataError(f"more than one target is marked: {ADVICE}")
    return match[1], match[2], match[3]
