"""Parses overrides with Hydra's grammar, and says in plain words why one cannot be read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from seqzoo.contracts.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override

LONGEST_OVERRIDE = 10_000
"""Maximum length of an override in characters."""


MOST_MARKS = 1_000
"""Maximum number of brackets, commas and colons in an override; Hydra takes a millisecond for each."""


def parse_override(text: str) -> Override:
    """Parse an override with Hydra.

    Raises:
        ConfigError: it cannot be read, with a corrected version if there is one.
    """
    from hydra.errors import HydraException

    if len(text) > LONGEST_OVERRIDE:
        raise ConfigError([f"{text!r} is too long: an override has at most {LONGEST_OVERRIDE:,} characters"])
    marks = sum(map(text.count, ",:[]{}()"))
    if marks > MOST_MARKS:
        most = f"an override at most {MOST_MARKS:,}: write the value into a YAML file of your own (--config-dir)"
        raise ConfigError([f"{text!r} has {marks:,} commas, colons and brackets, and {most}"])
    try:
        return _parser().parse_override(text)
    except (HydraException, ValueError, RecursionError):
        pass  # in the words of the grammar
    key, equals, value = text.partition("=")
    if key.startswith("-"):
        raise ConfigError([f"{text!r} is not an option: options have no dashes, as in task=tagging"])
    if not re.fullmatch(r"[+~]{0,2}[\w./@:-]+", key):
        raise ConfigError([f"{text!r} is not an override: write OPTION=VALUE"])
    if not equals:
        raise ConfigError([f"{text!r} has no value: write {key}=VALUE"])
    several = text.split()
    if len(several) > 1 and all(re.match(r"[+~]{0,2}[A-Za-z_][\w./]*=", word) for word in several):
        raise ConfigError([f"{text!r} is {len(several)} options in one string: write {', '.join(map(repr, several))}"])
    advice = ""
    if value.isprintable() and not re.fullmatch(r"[-+\d_]+", value):
        mark = '"' if "'" in value else "'"
        escaped = value.replace("\\", "\\\\").replace(mark, f"\\{mark}")
        around = "'" if mark == '"' else '"'  # for the shell
        advice = f": quote it, {around}{key}={mark}{escaped}{mark}{around}"
    raise ConfigError([f"{key} is {value!r}, which cannot be read as a value{_why_unreadable(value)}{advice}"])


@functools.cache
def _parser() -> OverridesParser:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def _why_unreadable(value: str) -> str:
    """Why Hydra cannot read a value, in brackets; empty if the value has a character that needs quotes."""
    if any(value.count(mark) % 2 for mark in "'\""):
        return " (a quote is not closed)"
    if any(value.count(opening) != value.count(closing) for opening, closing in ("[]", "{}", "()")):
        return " (its brackets do not match)"
    return " (there is nothing after the comma)" if value.rstrip().endswith(",") else ""


def parse_each(overrides: Iterable[str], mistakes: list[str]) -> Iterator[Override]:
    """Parse overrides; error messages for those that cannot be parsed are added to `mistakes`."""
    for text in overrides:
        try:
            yield parse_override(text)
        except ConfigError as error:
            mistakes += error.mistakes
