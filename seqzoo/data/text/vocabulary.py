"""An ordered list of tokens: the place of a token is its id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat

from seqzoo.contracts.errors import DataError

PAD, UNKNOWN, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"

SOURCE_SPECIALS = (PAD, UNKNOWN)
TARGET_SPECIALS = (PAD, UNKNOWN, BOS, EOS)


def check_vocabulary_size(size: int | None, special_tokens: int) -> None:
    """Raises ValueError where a vocabulary of this size would have no token besides the special ones."""
    if size is not None and size <= special_tokens:
        raise ValueError(
            f"vocabulary_size is {size}: {special_tokens} ids are special tokens, so that it must be at least "
            f"{special_tokens + 1}, or null"
        )


class Vocabulary:
    """Special tokens first, then the others. An unknown token has the id of `<unk>`, and so has a word of a text that
    is spelled like a special token: no text can reach a special id.

    Args:
        tokens: all tokens, the special ones among them; a plain list, which a run saves.
        specials: number of special tokens, the first of the list. None: those of targets where it begins with them,
            else those of sources.
    """

    def __init__(self, tokens: Iterable[str], specials: int | None = None):
        self.tokens = list(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.specials = _leading_specials(self.tokens) if specials is None else specials
        self._words = {token: i for token, i in self.ids.items() if i >= self.specials}
        if len(self.ids) != len(self.tokens):
            raise DataError("A vocabulary names a token twice: give every token once.")
        if UNKNOWN not in self.ids:
            raise DataError(f"A vocabulary lacks the token {UNKNOWN!r}: add it.")

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        specials: Iterable[str] = SOURCE_SPECIALS,
        min_frequency: int = 1,
        max_size: int | None = None,
    ) -> Vocabulary:
        """The most frequent tokens first, equally frequent ones alphabetically; `max_size` counts the specials too."""
        specials = list(specials)
        if max_size is not None and max_size <= len(specials):
            raise DataError(
                f"vocabulary_size={max_size} leaves no room beside {len(specials)} special tokens: raise it."
            )
        frequent = [token for token, count in counts.items() if count >= min_frequency and token not in specials]
        frequent.sort(key=lambda token: (-counts[token], token))
        return cls((specials + frequent)[:max_size], len([token for token in specials if token in TARGET_SPECIALS]))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.ids

    def encode(self, tokens: Iterable[str]) -> list[int]:
        return list(map(self._words.get, tokens, repeat(self.ids[UNKNOWN])))

    def decode(self, ids: Iterable[int]) -> list[str]:
        return [self.tokens[i] for i in ids]


def _leading_specials(tokens: list[str]) -> int:
    """Of a list that older runs have saved, or that somebody wrote."""
    groups = (TARGET_SPECIALS, SOURCE_SPECIALS)
    return next((len(group) for group in groups if tuple(tokens[: len(group)]) == group), 0)
