"""Text to tokens and back, by name: `get_tokenizer("characters").split("abc")`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable

from seqzoo.data import torchtext_adapter
from seqzoo.data.vocabulary import EOS
from seqzoo.errors import DataError, closest


class Tokenizer(ABC):
    @abstractmethod
    def split(self, text: str) -> list[str]: ...

    def join(self, tokens: list[str]) -> str:
        """Text for a person; equal to what was split only where the tokenizer loses nothing."""
        return " ".join(tokens)


class Whitespace(Tokenizer):
    def split(self, text: str) -> list[str]:
        return text.split()


class Lines(Tokenizer):
    """Words apart by whitespace; a line end is the token `<eos>`."""

    def split(self, text: str) -> list[str]:
        return text.replace("\n", f" {EOS} ").split()

    def join(self, tokens: list[str]) -> str:
        return re.sub(f" ?{EOS} ?", "\n", " ".join(tokens))


class Characters(Tokenizer):
    def split(self, text: str) -> list[str]:
        return list(text)

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens)


class ReversedCharacters(Tokenizer):
    """The last character first, so that question and answer meet at close quarters (Sutskever et al. 2014)."""

    def split(self, text: str) -> list[str]:
        return list(text[::-1])

    def join(self, tokens: list[str]) -> str:
        return "".join(reversed(tokens))


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


TOKENIZERS: dict[str, type[Tokenizer]] = {
    "whitespace": Whitespace,
    "lines": Lines,
    "characters": Characters,
    "reversed_characters": ReversedCharacters,
    "words": Words,
    "basic_english": BasicEnglish,
}


def get_tokenizer(name: str) -> Tokenizer:
    """One of TOKENIZERS, or `torchtext:NAME` for any tokenizer of torchtext."""
    if name.startswith("torchtext:"):
        return FromFunction(torchtext_adapter.tokenizer(name.removeprefix("torchtext:")))
    if name not in TOKENIZERS:
        raise DataError(f"There is no tokenizer {name!r}.{closest(name, [*TOKENIZERS, 'torchtext:toktok'])}")
    return TOKENIZERS[name]()
