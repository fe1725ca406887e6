"""The only file that imports torchtext, and only when it is asked for something."""

from __future__ import annotations

from collections.abc import Callable

from seqzoo.contracts.errors import DataError, program

Split = Callable[[str], list[str]]


def tokenizer(name: str) -> Split:
    """A tokenizer of torchtext, by its name there: basic_english, toktok, moses, revtok, subword, spacy."""
    try:
        from torchtext.data.utils import get_tokenizer
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f'The tokenizer "torchtext:{name}" needs torchtext, which cannot be imported ({error}): '
            f"{program('pip')} install torchtext==0.6.0, or choose a tokenizer without torchtext."
        ) from error
    try:
        return get_tokenizer(name)
    except ImportError as error:
        raise DataError(f'The tokenizer "torchtext:{name}" needs one more package: {error}.') from error
    except (ValueError, LookupError, OSError) as error:
        raise DataError(f'torchtext cannot give the tokenizer "{name}": {error}') from error
