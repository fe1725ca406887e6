"""Mistakes of a user, told in one sentence each: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

LONGEST_SENTENCE = 300
LONGEST_QUOTE = 60
LONGEST_LIST = 150


def shortened(sentence: str) -> str:
    """A sentence of at most `LONGEST_SENTENCE` characters that any terminal can show.

    What it quotes is cut in the middle, so that what is wrong and what to do about it stay readable.
    """
    sentence = printable(sentence)
    for quote in (r"\S{%d,}", r"'[^']{%d,}'", r'"[^"]{%d,}"'):
        if len(sentence) > LONGEST_SENTENCE:
            sentence = re.sub(quote % LONGEST_QUOTE, lambda match: _cut(match[0], LONGEST_QUOTE), sentence)
    return _cut(sentence, LONGEST_SENTENCE)


def _cut(text: str, longest: int) -> str:
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


class SeqzooError(Exception):
    """A mistake that a user can mend. The command line prints its text and no traceback.

    A sentence is shortened; a report of several lines stays as it is.
    """

    def __init__(self, text: str = ""):
        super().__init__(text if "\n" in text else shortened(text))


class ConfigError(SeqzooError):
    """One or several mistakes in a configuration, all told at once."""

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = [shortened(mistake) for text in mistakes for mistake in text.split("\n")]
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
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if near:
        return f" Did you mean {' or '.join(repr(n) for n in near)}?"
    if not names:
        return ""
    listed = ", ".join(names)
    if len(listed) > LONGEST_LIST:
        listed = listed[:LONGEST_LIST].rpartition(", ")[0]
        listed += f", ... ({len(names)} in all)"
    return f" There are: {listed}."


def program(name: str) -> str:
    """How a program of this environment is started from a shell, for a command that can be pasted.

    Args:
        name: `seqzoo`, or a program that is installed beside it, such as `tensorboard`.

    Returns:
        The name, where the PATH leads to the program of this environment; else the path of its script; else
        `python -m` with its module.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    called = shutil.which(name)
    if called is not None and scripts.resolve() in (Path(called).parent.resolve(), Path(called).resolve().parent):
        return name
    script = shutil.which(name, path=str(scripts))
    if script is not None:
        return _path_from_here(script)
    python = "python" if shutil.which("python") == sys.executable else _path_from_here(sys.executable)
    return f"{python} -m {'tensorboard.main' if name == 'tensorboard' else name}"


def _path_from_here(path: str) -> str:
    folder = Path.cwd()
    below = folder in Path(path).parents[1:]  # the name alone would be looked for on the PATH
    return shlex.quote(str(Path(path).relative_to(folder)) if below else path)


def not_installed(package: str) -> str:
    """'optuna, which is not installed: pip install optuna', for the end of a sentence about an optional package."""
    return f"{package}, which is not installed: {program('pip')} install {package}"


# controls, marks that turn the direction of text, line ends of their own, halves of characters
_NOT_FOR_TERMINALS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A line from elsewhere as a terminal can show it: what would act on the terminal is written as an escape, which
    JSON reads as the same character.
    """
    return _NOT_FOR_TERMINALS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def printable_lines(text: str) -> str:
    """`printable`, of each line of a text."""
    return "\n".join(map(printable, text.split("\n")))
