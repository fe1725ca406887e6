"""Tokenizers of torchtext, which is imported here alone and only when one is created."""

from __future__ import annotations

from collections.abc import Callable

from seqzoo.contracts.errors import DataError, program

Split = Callable[[str], list[str]]


def tokenizer(name: str) -> Split:
    """Create a tokenizer of torchtext.

    Args:
        name: basic_english, toktok, moses, revtok, subword or spacy.

    Raises:
        DataError: torchtext or a package that the tokenizer needs is missing, or there is no such tokenizer.
    """
    try:
        from torchtext.data.utils import get_tokenizer
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f'the tokenizer "torchtext:{name}" needs torchtext, which cannot be imported ({error}): '
            f"{program('pip')} install torchtext==0.6.0, or choose a tokenizer without torchtext"
        ) from error
    try:
        return get_tokenizer(name)
    except ImportError as error:
        raise DataError(f'the tokenizer "torchtext:{name}" needs one more package: {error}') from error
    except (ValueError, LookupError, OSError) as error:
        raise DataError(f'torchtext cannot give the tokenizer "{name}": {error}') from error
