"""Tags that mark spans, such as B-PER I-PER O: what they say, how they are written, and what may not follow what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

Span = tuple[str, int, int]
"""Type, first and last step."""

OUTSIDE = "O"
SCHEMES = {"iob1": "IIII", "bio": "BIIB", "bioes": "BIES", "bmes": "BMES", "bilou": "BILU"}
"""What a scheme writes before the type: at the first, an inner and the last token of a span, and at the only one. iob1
has a B, too: at the first token of a span that touches one of the same type.
"""
ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
"""What a tag begins with -> begin, inside, end or single; everything else is outside of any span."""


class Tag(NamedTuple):
    """role: B, I, E, S, or O outside of any span; kind: the span's type."""

    role: str
    kind: str


def parse(tag: str) -> Tag:
    prefix, _, kind = tag.partition("-")
    role = ROLES.get(prefix, OUTSIDE)
    return Tag(role, "" if role == OUTSIDE else kind)


def spans(tags: list[str]) -> Iterator[Span]:
    """The spans of a row of tags in any scheme, broken ones read as conlleval reads them: a span also begins at an
    inside or an end that continues nothing or another type, and it ends wherever the next tag does not continue it.
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
    """The scheme that rows of tags are written in; None where they mark no spans, as parts of speech do not.

    Rows of B and I alone are iob1 where spans begin with I, and with B only behind one of the same type; else bio.
    """
    prefixes: set[str] = set()
    begins_inside = begins_anew = False
    for row in rows:
        previous = Tag(OUTSIDE, "")
        for tag in row:
            current = parse(tag)
            if current.role == OUTSIDE != tag:
                return None
            touches = previous.role != OUTSIDE and previous.kind == current.kind
            begins_inside |= current.role == "I" and not touches
            begins_anew |= current.role == "B" and not touches
            prefixes.add(tag[0])
            previous = current
    for scheme, telling in {"bmes": "M", "bilou": "LU", "bioes": "ES", "bio": "BI"}.items():
        if prefixes & set(telling):
            return "iob1" if scheme == "bio" and begins_inside and not begins_anew else scheme
    return None


def tags_of(kinds: Iterable[str], scheme: str) -> list[str]:
    """All tags that a scheme has for spans of these types, and the one outside."""
    letters = sorted({*SCHEMES[scheme], "B"})
    return [OUTSIDE, *(f"{letter}-{kind}" if kind else letter for kind in sorted(kinds) for letter in letters)]


def write(found: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Spans in their order, none over another -> so many tags."""
    first, inner, last, only = list(SCHEMES[scheme])
    tags = [OUTSIDE] * length
    touched: tuple[str, int] | None = None  # the type of the span before, and the step behind it
    for kind, start, end in found:
        letters = [first, *[inner] * (end - start - 1), last] if end > start else [only]
        if scheme == "iob1" and (kind, start) == touched:
            letters[0] = "B"
        tags[start : end + 1] = [f"{letter}-{kind}" if kind else letter for letter in letters]
        touched = (kind, end + 1)
    return tags


def convert(tags: list[str], scheme: str) -> list[str]:
    """The same spans in another scheme, or, of a broken row, in its own."""
    return write(spans(tags), len(tags), scheme)


def may_follow(previous: str, tag: str, scheme: str) -> bool:
    """Whether a tag may stand behind another; O stands for the begin and the end of a row, too."""
    (role, kind), (next_role, next_kind) = parse(previous), parse(tag)
    if scheme == "iob1":
        return next_role != "B" or (role != OUTSIDE and kind == next_kind)
    if next_role in ("I", "E"):
        return role in ("B", "I") and kind == next_kind
    return scheme == "bio" or role not in ("B", "I")


def is_broken(tags: list[str], scheme: str) -> bool:
    """Whether a tag stands where its scheme allows none such."""
    bounded = [OUTSIDE, *tags, OUTSIDE]
    return not all(may_follow(*pair, scheme) for pair in pairwise(bounded))
