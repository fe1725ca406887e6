"""Text to tokens and back, by name: `get_tokenizer("characters").split("abc")`."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from seqzoo.data import torchtext_adapter
from seqzoo.data.vocabulary import EOS, UNKNOWN
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


class Subwords(Tokenizer):
    """Words in pieces, learned from texts by merging, again and again, the pair of pieces that is most frequent
    (byte-pair encoding). A piece that begins a word begins with ▁, so that joining loses nothing.

    Sennrich, Haddow & Birch, Neural Machine Translation of Rare Words with Subword Units, 2016,
    https://aclanthology.org/P16-1162

    pieces: all there are, `<unk>` among them; merges: pairs of pieces that become one, the earliest learned first.
    Raises DataError where the library `tokenizers` is not installed.
    """

    space = "▁"

    def __init__(self, pieces: Sequence[str], merges: Sequence[Sequence[str]]):
        self.merges = [(first, second) for first, second in merges]
        models = _library().models
        ids = {piece: i for i, piece in enumerate(pieces)}
        self._model = self._around(models.BPE(vocab=ids, merges=self.merges, unk_token=UNKNOWN))

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, min_frequency: int = 1) -> tuple[Subwords, list[str]]:
        """The tokenizer of at most `size` pieces, characters included, and the pieces, without `<unk>`. Pairs rarer
        than `min_frequency` are not merged.
        """
        library = _library()
        model = cls._around(library.models.BPE(unk_token=UNKNOWN))
        trainer = library.trainers.BpeTrainer(
            vocab_size=size + 1, min_frequency=min_frequency, special_tokens=[UNKNOWN], show_progress=False
        )
        model.train_from_iterator(texts, trainer)
        learned = json.loads(model.to_str())["model"]
        pieces = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        return cls(pieces, learned["merges"]), [piece for piece in pieces if piece != UNKNOWN]

    @classmethod
    def _around(cls, model: Any) -> Any:
        library = _library()
        tokenizer, cut = library.Tokenizer(model), library.pre_tokenizers
        # marks are apart, so that "dog." is no other word than "dog"
        tokenizer.pre_tokenizer = cut.Sequence([cut.Metaspace(cls.space), cut.Punctuation("isolated")])
        return tokenizer

    def split(self, text: str) -> list[str]:
        return self._model.encode(text).tokens

    def join(self, tokens: list[str]) -> str:
        return "".join(tokens).replace(self.space, " ").removeprefix(" ")


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError('Subwords need the library tokenizers: pip install "seqzoo[text]".') from None
    return tokenizers


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
    if name == "subwords":
        raise DataError("Subwords are learned from pairs of texts only: choose another tokenizer.")
    if name not in TOKENIZERS:
        raise DataError(f"There is no tokenizer {name!r}.{closest(name, [*TOKENIZERS, 'torchtext:toktok'])}")
    return TOKENIZERS[name]()
