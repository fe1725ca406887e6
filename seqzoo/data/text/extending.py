"""The vocabulary of a run whose encoder reads new data: new tokens are added at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from seqzoo.contracts.errors import DataError
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import LINES, Lines, inner_name
from seqzoo.data.text.vocabulary import EOS, Vocabulary

MOST_UNKNOWN = 0.5
"""Maximum share of the tokens of new data that the vocabulary does not have."""


def extended(
    codec: TextCodec, texts: Iterable[str | list[str]], min_frequency: int = 1, max_size: int | None = None
) -> TextCodec:
    """A copy of a codec with the new tokens of texts, in order of falling frequency. Subwords remain as learned.

    Args:
        codec: of the run.
        texts: strings, or lists of tokens.
        min_frequency: rarer tokens stay unknown.
        max_size: maximum size of the vocabulary, which may be larger already; None: no limit.

    Raises:
        DataError: most tokens are new, as those of another language or tokenizer are.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(codec.split(text))
    new = {token: count for token, count in counts.items() if token not in codec.vocabulary}
    if sum(new.values()) > MOST_UNKNOWN * counts.total():
        share, example = sum(new.values()) / counts.total(), max(new, key=lambda token: new[token])
        raise DataError(
            f"{share:.0%} of the training tokens, such as {example!r:.40}, are not in the vocabulary of the run that "
            f"init= names, whose tokens are {codec.unit}: choose texts like those that it was trained on"
        )
    if inner_name(codec.name) in SUBWORDS:
        return codec
    frequent = [token for token, count in new.items() if count >= min_frequency]
    frequent.sort(key=lambda token: (-new[token], token))
    return codec.with_words(frequent if max_size is None else frequent[: max(0, max_size - codec.size)])


def for_running_text(codec: TextCodec) -> TextCodec:
    """The codec that reads line ends as `<eos>`, as running text needs; characters include line ends already."""
    if codec.name == "characters" or isinstance(codec.tokenizer, Lines):
        return codec
    tokens = [*codec.vocabulary.tokens, *([] if EOS in codec.vocabulary else [EOS])]
    return TextCodec(f"{LINES}{codec.name}", Vocabulary(tokens, codec.vocabulary.specials), Lines(codec.tokenizer))
