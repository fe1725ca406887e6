"""Mistakes of a user, told in one sentence each: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeqzooError(Exception):
    """A mistake that a user can mend. The command line prints its text and no traceback."""


class ConfigError(SeqzooError):
    """One or several mistakes in a configuration, all told at once."""

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = list(mistakes)
        super().__init__("\n".join(self.mistakes))


class DataError(SeqzooError):
    """A file that is not there or does not hold what it should."""


class CheckpointError(SeqzooError):
    """A checkpoint or run directory that cannot be written, read or continued."""


class TrainingError(SeqzooError):
    """A training that cannot go on."""


def closest(name: str, names: Iterable[str]) -> str:
    """' Did you mean "lstm" or "lem"?' or the names there are, for the end of a sentence."""
    names = sorted(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(repr(n) for n in near)}?"
    return f" There are: {', '.join(names)}." if names else ""
