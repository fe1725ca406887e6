"""Text to tokens and back, by name: `get_tokenizer("characters").split("abc")`."""

from __future__ import annotations

import functools
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.errors import DataError, closest, not_installed
from seqzoo.data.text import torchtext_adapter
from seqzoo.data.text.vocabulary import EOS, UNKNOWN

LINES = "lines:"
"""Before the name of a tokenizer that reads running text by lines."""

REVERSED = "reversed:"
"""Before the name of a tokenizer whose last token is read first."""


class Tokenizer(ABC):
    """unit: what a token is, in the plural."""

    unit: str = "words"

    @abstractmethod
    def split(self, text: str) -> list[str]: ...

    def join(self, tokens: list[str]) -> str:
        """Text for a person; equal to what was split only where the tokenizer loses nothing."""
        return " ".join(tokens)

    def to_plain(self) -> dict[str, Any]:
        """What it has learned and a run must save, besides its name and the vocabulary."""
        return {}


class Whitespace(Tokenizer):
    def split(self, text: str) -> list[str]:
        return text.split()


class LowerCase(Whitespace):
    """Whitespace, and every letter small: words that differ in case alone are one."""

    def split(self, text: str) -> list[str]:
        return text.lower().split()


class Characters(Tokenizer):
    unit = "characters"

    def split(self, text: str) -> list[str]:
        return list(text)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)


class Words(Tokenizer):
    """Runs of letters and digits, and each other mark on its own; case stays."""

    pattern = re.compile(r"\w+|[^\w\s]")

    def split(self, text: str) -> list[str]:
        return self.pattern.findall(text)

    def join(self, tokens: list[str]) -> str:
        return re.sub(r" (?=[.,!?;:)\]}])|(?<=[(\[{]) ", "", " ".join(tokens))


class BasicEnglish(Tokenizer):
    """Lower case, punctuation apart, quotes and colons gone: equal to torchtext's tokenizer of this name."""

    def split(self, text: str) -> list[str]:
        text = text.lower().replace('"', "").replace("<br />", " ")
        for mark in "'.,()!?":
            text = text.replace(mark, f" {mark} ")
        return text.replace(";", " ").replace(":", " ").split()


class FromFunction(Tokenizer):
    def __init__(self, function: Callable[[str], list[str]]):
        self.function = function

    def split(self, text: str) -> list[str]:
        return list(self.function(text))


class ChineseWords(Tokenizer):
    """The words of Chinese text, by the library jieba; nothing is lost, spaces are tokens.

    Raises DataError where jieba is not installed.
    """

    def __init__(self) -> None:
        self._jieba = _jieba()

    def split(self, text: str) -> list[str]:
        return self._jieba.lcut(text)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)


@functools.cache
def _jieba() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old ways to write patterns, where it is compiled for the first time
            import jieba
    except ImportError:
        raise DataError(f"Chinese words need {not_installed('jieba')}") from None
    jieba.setLogLevel("WARNING")
    segmenter = jieba.Tokenizer()
    # the place of its own choice is open to everybody on this machine
    segmenter.tmp_dir = str(user_cache("jieba"))
    return segmenter


class Unbracketed(Tokenizer):
    """Whitespace, without the round brackets of ListOps, which only repeat what the square ones say (Nangia & Bowman
    2018, https://aclanthology.org/N18-4013).
    """

    def split(self, text: str) -> list[str]:
        return [token for token in text.split() if token not in ("(", ")")]


class Lines(Tokenizer):
    """Running text: the lines of a text by another tokenizer, and the token `<eos>` for each line end. A word `<eos>`
    of the text is unknown.
    """

    def __init__(self, inner: Tokenizer):
        self.inner, self.unit = inner, inner.unit

    def split(self, text: str) -> list[str]:
        split = self.inner.split
        *lines, last = text.split("\n")
        tokens: list[str] = []
        for line in lines:
            tokens += _without_ends(split(line))
            tokens.append(EOS)
        return tokens + _without_ends(split(last))

    def join(self, tokens: list[str]) -> str:
        lines: list[list[str]] = [[]]
        for token in tokens:
            if token == EOS:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(map(self.inner.join, lines))

    def to_plain(self) -> dict[str, Any]:
        return self.inner.to_plain()


def _without_ends(words: list[str]) -> list[str]:
    return [UNKNOWN if word == EOS else word for word in words] if EOS in words else words


class Reversed(Tokenizer):
    """The last token first, so that the beginnings of what is read and of what is written are close together (Sutskever
    et al. 2014, https://arxiv.org/abs/1409.3215).
    """

    def __init__(self, inner: Tokenizer):
        self.inner, self.unit = inner, inner.unit

    def split(self, text: str) -> list[str]:
        return self.inner.split(text)[::-1]

    def join(self, tokens: list[str]) -> str:
        return self.inner.join(tokens[::-1])

    def to_plain(self) -> dict[str, Any]:
        return self.inner.to_plain()


TOKENIZERS: dict[str, type[Tokenizer]] = {
    "whitespace": Whitespace,
    "lower_case": LowerCase,
    "characters": Characters,
    "words": Words,
    "basic_english": BasicEnglish,
    "chinese_words": ChineseWords,
    "unbracketed": Unbracketed,
}


def inner_name(name: str) -> str:
    """Without `lines:` and `reversed:`."""
    return name.removeprefix(LINES).removeprefix(REVERSED)


def reads_backwards(name: str) -> bool:
    """Whether a text is read from its end."""
    return name.removeprefix(LINES).startswith(REVERSED)


def wrapped(name: str, inner: Tokenizer) -> Tokenizer:
    """A tokenizer as `lines:` and `reversed:` before its name say."""
    if reads_backwards(name):
        inner = Reversed(inner)
    return Lines(inner) if name.startswith(LINES) else inner


def get_tokenizer(name: str) -> Tokenizer:
    """One of TOKENIZERS or `torchtext:NAME` for any tokenizer of torchtext; `lines:NAME` for running text,
    `reversed:NAME` from the end.
    """
    if inner_name(name) != name:
        return wrapped(name, get_tokenizer(inner_name(name)))
    if name.startswith("torchtext:"):
        return FromFunction(torchtext_adapter.tokenizer(name.removeprefix("torchtext:")))
    if name not in TOKENIZERS:
        raise DataError(
            f"There is no tokenizer {name!r}.{closest(name, [*TOKENIZERS, 'bpe', 'unigram', 'torchtext:toktok'])}"
        )
    return TOKENIZERS[name]()
