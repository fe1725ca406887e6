"""The characters of tokens, for encoders that read them."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from seqzoo.contracts.batch import Spelling
from seqzoo.contracts.spec import SpellingCodec
from seqzoo.data.batching.ragged import Ragged


class Spellings:
    """The characters of the tokens of all rows. Each distinct token is stored once, and once per batch."""

    def __init__(self, rows: Iterable[list[str]], codec: SpellingCodec):
        ids: dict[str, int] = {}
        self.rows = Ragged([ids.setdefault(form, len(ids)) for form in codec.written(row)] for row in rows)
        self.forms = Ragged(codec.encode(form) for form in ids)

    def gather(self, rows: list[int]) -> Spelling:
        """The spelling of a batch, from the numbers of its rows."""
        used, index = torch.unique(self.rows.gather(rows)[0], return_inverse=True)
        return Spelling(self.forms.gather(used.tolist())[0], index)
