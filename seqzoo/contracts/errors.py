"""Errors for users, one sentence each: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LONGEST_SENTENCE = 300
LONGEST_QUOTE = 60
LONGEST_LIST = 150


def shortened(sentence: str) -> str:
    """Shorten a sentence to `LONGEST_SENTENCE` characters and escape what a terminal cannot show.

    Long quotations are cut in the middle, so that the error and the advice stay readable.
    """
    sentence = printable(sentence)
    for quote in (r"\S{%d,}", r"'[^']{%d,}'", r'"[^"]{%d,}"'):
        if len(sentence) > LONGEST_SENTENCE:
            sentence = re.sub(quote % LONGEST_QUOTE, lambda match: cut(match[0], LONGEST_QUOTE), sentence)
    return cut(sentence, LONGEST_SENTENCE)


def cut(text: str, longest: int) -> str:
    """Cut a text in the middle if it is longer than `longest` characters."""
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


class SeqzooError(Exception):
    """An error that the user can fix. The command line prints its text without a traceback, after `seqzoo: `.

    The text begins in lower case and has no full stop at its end, as the exceptions of Python. A single sentence is
    shortened; a text of several lines is not.

    Args:
        text: what is wrong, where, and what to do.
    """

    def __init__(self, text: str = ""):
        super().__init__(text if "\n" in text else shortened(text))


class ConfigError(SeqzooError):
    """One or several errors in a configuration, reported together.

    Args:
        mistakes: a sentence for each error.
    """

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = [shortened(mistake) for text in mistakes for mistake in text.split("\n")]
        super().__init__("\n".join(self.mistakes))


class ArgumentError(ConfigError, TypeError):
    """Keyword arguments that a function does not have, or of a wrong type."""


class DataError(SeqzooError):
    """Data that is missing or malformed.

    Args:
        text: what is wrong, where, and what to do.
    """


class CheckpointError(SeqzooError):
    """A checkpoint or run directory that cannot be written, read or resumed.

    Args:
        text: what is wrong, where, and what to do.
    """


class PartError(SeqzooError):
    """A user-defined part that does not do what its base class requires."""


class TrainingError(SeqzooError):
    """Training that cannot continue.

    Args:
        text: what is wrong, where, and what to do.
    """


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put a place, such as a file and a line, before the message of an error."""
    try:
        yield
    except SeqzooError as error:
        raise DataError(f"{where}: {error}" if where else str(error)) from None


def closest(name: str, names: Iterable[str], above: str = "") -> str:
    """The end of a message about an unknown name: `. Did you mean 'lstm' or 'lem'?` or the list of valid names."""
    names = sorted(names)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.9)  # a typing error
    near = near or difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    if near:
        return f". Did you mean {' or '.join(repr(f'{above}.{n}' if above else n) for n in near)}?"
    if not names:
        return ""
    listed = ", ".join(names)
    if len(listed) > LONGEST_LIST:
        listed = listed[:LONGEST_LIST].rpartition(", ")[0]
        listed += f", ... ({len(names)} in all)"
    return f". Below {above} there are: {listed}" if above else f". There are: {listed}"


def program(name: str) -> str:
    """The shell command that starts a program of this environment, for messages that can be pasted.

    Args:
        name: `seqzoo`, or a program that is installed beside it, such as `tensorboard`.

    Returns:
        The name if PATH resolves it to this environment, else the path of its script, else `python -m` with its module.
    """
    scripts = Path(sysconfig.get_path("scripts"))
    on_path = shutil.which(name)
    if on_path is not None and scripts.resolve() in (Path(on_path).parent.resolve(), Path(on_path).resolve().parent):
        return name
    script = shutil.which(name, path=str(scripts))
    if script is not None:
        return _path_from_here(script)
    python = "python" if shutil.which("python") == sys.executable else _path_from_here(sys.executable)
    return f"{python} -m {'tensorboard.main' if name == 'tensorboard' else name}"


def _path_from_here(path: str) -> str:
    folder = Path.cwd()
    below = folder in Path(path).parents[1:]  # the shell would search PATH for a bare name
    return shlex.quote(str(Path(path).relative_to(folder)) if below else path)


def listed(errors: Sequence[str], most: int = 20) -> str:
    """The first of several errors, one per line, and the number of the others."""
    more = [f"... and {len(errors) - most:,} more"] if len(errors) > most else []
    return "\n".join([*errors[:most], *more])


def not_installed(package: str, extra: str | None = None) -> str:
    """The end of a sentence about an optional package: 'optuna, which is not installed: pip install optuna'.

    Args:
        package: the package.
        extra: of seqzoo, which installs it with others; None: it is installed by itself.
    """
    installed = package if extra is None else f"'seqzoo[{extra}]'"
    return f"{package}, which is not installed: {program('pip')} install {installed}"


def first_line(error: BaseException) -> str:
    """The first line of an error message, or the name of the error if it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


# control characters, line separators, marks of text direction, surrogates
_NOT_FOR_TERMINALS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Escape the characters of a line that would act on a terminal, as JSON escapes them."""
    return _NOT_FOR_TERMINALS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def printable_lines(text: str) -> str:
    """`printable` for each line of a text."""
    return "\n".join(map(printable, text.split("\n")))
