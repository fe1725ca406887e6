"""Tokenizers by name: `get_tokenizer("characters").split("abc")`."""

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
"""Prefix of the name of a tokenizer that reads running text by lines."""

REVERSED = "reversed:"
"""Prefix of the name of a tokenizer whose tokens are read from the last to the first."""


class Tokenizer(ABC):
    """The base of tokenizers.

    Attributes:
        unit: what a token is, in the plural.
    """

    unit: str = "words"

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The tokens of a text."""

    def join(self, tokens: list[str]) -> str:
        """A readable text of tokens; the original text only if the tokenizer is lossless."""
        return " ".join(tokens)

    def to_plain(self) -> dict[str, Any]:
        """Learned parameters that a run saves besides the name of the tokenizer and the vocabulary."""
        return {}


class Whitespace(Tokenizer):
    """Tokens separated by whitespace."""

    def split(self, text: str) -> list[str]:
        return text.split()


class LowerCase(Whitespace):
    """Lower-cased tokens separated by whitespace."""

    def split(self, text: str) -> list[str]:
        return text.lower().split()


class Characters(Tokenizer):
    """Single characters, with spaces."""

    unit = "characters"

    def split(self, text: str) -> list[str]:
        return list(text)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)


class Words(Tokenizer):
    """Runs of letters and digits, and each punctuation mark by itself. Case is kept."""

    pattern = re.compile(r"\w+|[^\w\s]")

    def split(self, text: str) -> list[str]:
        return self.pattern.findall(text)

    def join(self, tokens: list[str]) -> str:
        return re.sub(r" (?=[.,!?;:)\]}])|(?<=[(\[{]) ", "", " ".join(tokens))


class BasicEnglish(Tokenizer):
    """Lower-cased words and punctuation marks, without quotes and colons, as torchtext's tokenizer of this name."""

    def split(self, text: str) -> list[str]:
        text = text.lower().replace('"', "").replace("<br />", " ")
        for mark in "'.,()!?":
            text = text.replace(mark, f" {mark} ")
        return text.replace(";", " ").replace(":", " ").split()


class FromFunction(Tokenizer):
    """The tokens that a function returns."""

    def __init__(self, function: Callable[[str], list[str]]):
        self.function = function

    def split(self, text: str) -> list[str]:
        return list(self.function(text))


class ChineseWords(Tokenizer):
    """The words of Chinese text by the library jieba. Spaces are tokens, so that the tokenizer is lossless.

    Raises:
        DataError: jieba is not installed.
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
            warnings.simplefilter("ignore")  # invalid escape sequences, when it is compiled for the first time
            import jieba
    except ImportError:
        raise DataError(f"Chinese words need {not_installed('jieba')}") from None
    jieba.setLogLevel("WARNING")
    segmenter = jieba.Tokenizer()
    # its default cache folder is writable by all users of the machine
    segmenter.tmp_dir = str(user_cache("jieba"))
    return segmenter


class Unbracketed(Tokenizer):
    """Tokens separated by whitespace without the round brackets of ListOps, which repeat the square ones (Nangia &
    Bowman 2018, https://aclanthology.org/N18-4013).
    """

    def split(self, text: str) -> list[str]:
        return [token for token in text.split() if token not in ("(", ")")]


class Lines(Tokenizer):
    """Running text: each line is split by another tokenizer, and each line end is the token `<eos>`. A word `<eos>` in
    the text is unknown.
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
    """The tokens in reverse order, which brings the beginnings of source and target close together (Sutskever et al.
    2014, https://arxiv.org/abs/1409.3215).
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
    """The name of a tokenizer without the prefixes `lines:` and `reversed:`."""
    return name.removeprefix(LINES).removeprefix(REVERSED)


def reads_backwards(name: str) -> bool:
    """Whether the tokenizer of this name reads texts from their end."""
    return name.removeprefix(LINES).startswith(REVERSED)


def wrapped(name: str, inner: Tokenizer) -> Tokenizer:
    """Apply the prefixes `lines:` and `reversed:` of a name to the tokenizer of the rest of the name."""
    if reads_backwards(name):
        inner = Reversed(inner)
    return Lines(inner) if name.startswith(LINES) else inner


def get_tokenizer(name: str) -> Tokenizer:
    """Create a tokenizer.

    Args:
        name: one of TOKENIZERS, or `torchtext:NAME` for a tokenizer of torchtext; with the prefix `lines:` for running
            text, with `reversed:` to read from the end.

    Raises:
        DataError: there is no such tokenizer.
    """
    if inner_name(name) != name:
        return wrapped(name, get_tokenizer(inner_name(name)))
    if name.startswith("torchtext:"):
        return FromFunction(torchtext_adapter.tokenizer(name.removeprefix("torchtext:")))
    if name not in TOKENIZERS:
        raise DataError(
            f"there is no tokenizer {name!r}{closest(name, [*TOKENIZERS, 'bpe', 'unigram', 'torchtext:toktok'])}"
        )
    return TOKENIZERS[name]()
