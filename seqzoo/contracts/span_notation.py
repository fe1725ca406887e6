"""Tagging schemes for spans (IOB1, BIO, BIOES, BMES, BILOU): parsing, writing, conversion and valid transitions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

Span = tuple[str, int, int]
"""Type, first and last step."""

OUTSIDE = "O"
SCHEMES = {"iob1": "IIII", "bio": "BIIB", "bioes": "BIES", "bmes": "BMES", "bilou": "BILU"}
"""The prefixes of a scheme: of the first, an inner, the last and the only token of a span. IOB1 also writes B, at the
first token of a span that directly follows one of the same type.
"""
ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
"""Prefix -> begin, inside, end or single; all other tags are outside of spans."""


class Tag(NamedTuple):
    """role: B, I, E, S, or O outside of spans; kind: the type of the span."""

    role: str
    kind: str


@functools.lru_cache(maxsize=1024)
def parse(tag: str) -> Tag:
    """Split a tag such as B-PER into role and type."""
    prefix, _, kind = tag.partition("-")
    role = ROLES.get(prefix, OUTSIDE)
    return Tag(role, "" if role == OUTSIDE else kind)


def spans(tags: list[str]) -> Iterator[Span]:
    """The spans of a row of tags in any scheme.

    Invalid sequences are read as conlleval does: an inside or end tag that continues no span of its type begins one,
    and a span ends where the next tag does not continue it.
    """
    kind, start = "", -1  # start is -1 outside a span
    previous = OUTSIDE
    for step, tag in enumerate([*tags, OUTSIDE]):
        role, name = parse(tag)
        continues = role in ("I", "E") and previous in ("B", "I") and name == kind
        if start >= 0 and not continues:
            yield kind, start, step - 1
            start = -1
        if role != OUTSIDE and start < 0:
            kind, start = name, step
        previous = role


def scheme_of(rows: Iterable[list[str]]) -> str | None:
    """Detect the scheme of rows of tags; None if they do not mark spans, such as parts of speech.

    Rows with only B and I are IOB1 if spans begin with I, or with B directly after a span of their type; else BIO.
    """
    prefixes: set[str] = set()
    begins_with_i = begins_with_b = False
    for row in rows:
        previous = Tag(OUTSIDE, "")
        for tag in row:
            current = parse(tag)
            if current.role == OUTSIDE != tag:
                return None
            follows_same = previous.role != OUTSIDE and previous.kind == current.kind
            begins_with_i |= current.role == "I" and not follows_same
            begins_with_b |= current.role == "B" and not follows_same
            prefixes.add(tag[0])
            previous = current
    for scheme, distinctive in {"bmes": "M", "bilou": "LU", "bioes": "ES", "bio": "BI"}.items():
        if prefixes & set(distinctive):
            return "iob1" if scheme == "bio" and begins_with_i and not begins_with_b else scheme
    return None


def tags_of(kinds: Iterable[str], scheme: str) -> list[str]:
    """All tags of a scheme for spans of these types, O included."""
    letters = sorted({*SCHEMES[scheme], "B"})
    return [OUTSIDE, *(f"{letter}-{kind}" if kind else letter for kind in sorted(kinds) for letter in letters)]


def write(ordered_spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of a row of `length` steps with these spans, which are in order and do not overlap."""
    first, inner, last, only = list(SCHEMES[scheme])
    tags = [OUTSIDE] * length
    previous: tuple[str, int] | None = None  # type of the previous span and the step after it
    for kind, start, end in ordered_spans:
        letters = [first, *[inner] * (end - start - 1), last] if end > start else [only]
        if scheme == "iob1" and (kind, start) == previous:
            letters[0] = "B"
        tags[start : end + 1] = [f"{letter}-{kind}" if kind else letter for letter in letters]
        previous = (kind, end + 1)
    return tags


def convert(tags: list[str], scheme: str) -> list[str]:
    """Rewrite tags in a scheme; with the scheme they are in, this repairs invalid sequences."""
    return write(spans(tags), len(tags), scheme)


def may_follow(previous: str, tag: str, scheme: str) -> bool:
    """Whether a tag may follow another one; the begin and end of a row count as O."""
    (role, kind), (next_role, next_kind) = parse(previous), parse(tag)
    if scheme == "iob1":
        return next_role != "B" or (role != OUTSIDE and kind == next_kind)
    if next_role in ("I", "E"):
        return role in ("B", "I") and kind == next_kind
    return scheme == "bio" or role not in ("B", "I")


def is_broken(tags: list[str], scheme: str) -> bool:
    """Whether a row has a transition that its scheme does not allow."""
    bounded = [OUTSIDE, *tags, OUTSIDE]
    return not all(may_follow(*pair, scheme) for pair in pairwise(bounded))
