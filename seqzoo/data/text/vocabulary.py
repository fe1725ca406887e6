"""Vocabularies: the id of a token is its position in a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat

from seqzoo.contracts.errors import DataError

PAD, UNKNOWN, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"

SOURCE_SPECIALS = (PAD, UNKNOWN)
TARGET_SPECIALS = (PAD, UNKNOWN, BOS, EOS)


def check_vocabulary_size(size: int | None, special_tokens: int) -> None:
    """Check the size of a vocabulary.

    Raises:
        ValueError: the vocabulary would have no tokens besides the special ones.
    """
    if size is not None and size <= special_tokens:
        raise ValueError(
            f"vocabulary_size is {size}: it must be at least {special_tokens + 1}, since {special_tokens} ids are "
            "special tokens, or null"
        )


class Vocabulary:
    """Special tokens, then all others. Unknown words have the id of `<unk>`, and so have words of a text that are
    spelled like a special token, so that no text can contain a special id.

    Args:
        tokens: all tokens in the order of their ids, with the special tokens first.
        specials: number of special tokens; None: as many as the list begins with.

    Raises:
        DataError: a token occurs twice, or there is no `<unk>`.
    """

    def __init__(self, tokens: Iterable[str], specials: int | None = None):
        self.tokens = list(tokens)
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.specials = _leading_specials(self.tokens) if specials is None else specials
        self._words = {token: i for token, i in self.ids.items() if i >= self.specials}
        if len(self.ids) != len(self.tokens):
            raise DataError("a token occurs twice in a vocabulary: give every token once")
        if UNKNOWN not in self.ids:
            raise DataError(f"a vocabulary lacks the token {UNKNOWN!r}: add it")

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        specials: Iterable[str] = SOURCE_SPECIALS,
        min_frequency: int = 1,
        max_size: int | None = None,
    ) -> Vocabulary:
        """Build a vocabulary in order of falling frequency, then alphabetically.

        Args:
            counts: of the tokens.
            specials: the special tokens.
            min_frequency: rarer tokens are left out.
            max_size: maximum size, with the special tokens; None: no limit.
        """
        specials = list(specials)
        if max_size is not None and max_size <= len(specials):
            raise DataError(
                f"data.vocabulary_size={max_size} is too small for {len(specials)} special tokens and others: raise it"
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
    """The number of special tokens of a list that does not come with it, such as that of an older run."""
    groups = (TARGET_SPECIALS, SOURCE_SPECIALS)
    return next((len(group) for group in groups if tuple(tokens[: len(group)]) == group), 0)
