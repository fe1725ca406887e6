"""Cloze data: each token of a text is to be predicted from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from seqzoo.contracts.batch import BLANK, UNKNOWN, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.spec import Codec, DataSpec
from seqzoo.data.batching.chance import generator_at
from seqzoo.data.examples import Example, ExampleData, fit
from seqzoo.data.files.base import SplitFiles
from seqzoo.data.sources.reading import read_lines
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import get_tokenizer
from seqzoo.data.text.vocabulary import PAD
from seqzoo.data.text.vocabulary import UNKNOWN as UNK


@dataclass(eq=False, kw_only=True)
class ClozeData(ExampleData):
    """Targets (B, T) are the input tokens themselves. A blank in a text is written `___`, or `_` between characters.

    Args:
        blanks: share of the training tokens that are replaced by blanks in the input.
    """

    blanks: float = 0.1

    kind = "cloze"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.blanks < 1:
            raise ValueError(f"blanks={self.blanks} must be at least 0 and below 1")
        name = self.tokenizer_of_inputs()
        if name in SUBWORDS or get_tokenizer(name).split(self.blank) != [self.blank]:
            raise ValueError(f"tokenizer={name} splits the blank {self.blank}: choose another one")

    @property
    def blank(self) -> str:
        return "_" if self.tokenizer_of_inputs() == "characters" else "___"

    def expected_spec(self) -> DataSpec:
        size = self.vocabulary_size or self.largest_input
        return DataSpec(self.kind, size, size)

    def _count(self, examples: list[Example]) -> DataSpec:
        codec = self.learn_inputs((example.source for example in examples), (PAD, UNK, self.blank))
        if codec.vocabulary.tokens[BLANK : BLANK + 1] != [self.blank]:
            raise DataError(f"the run of init= has no blank {self.blank} in its vocabulary: give a run of task=cloze")
        return DataSpec(self.kind, codec.size, codec.size, codec, codec)

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        # the target of a blank in the text itself is unknown
        ids = codec.encode(fit(source, self.max_length, self.truncate))
        return [UNKNOWN if token == BLANK else token for token in ids]

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for number, batch in enumerate(super().batches(split, epoch, start), start):
            if split == "train" and self.blanks:
                drawn = generator_at(self.seed, epoch, number)
                hidden = torch.rand(batch.inputs.shape, generator=drawn) < self.blanks
                batch.inputs = batch.inputs.masked_fill(hidden & mask(batch.lengths, hidden.shape[1]), BLANK)
            yield batch


@dataclass(eq=False, kw_only=True)
class ClozeFiles(SplitFiles, ClozeData):
    """Cloze texts from files. Words have no characters, which would reveal the missing word, and no word dropout, since
    blanks take its place.

    Args:
        text_column: the column of a table with the texts; None: each line of a file is a text.
        tokenizer: of the texts.
    """

    text_column: str | int | None = None
    tokenizer: str = "basic_english"
    characters: int = field(default=0, init=False)
    word_places: bool = field(default=False, init=False)
    word_dropout: float = field(default=0.0, init=False)

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read_file(self, name: str) -> list[Example]:
        path = self.path(name)
        if self.text_column is not None:
            rows = self.table(path, [self.text_column], ["text_column"])
            return [Example(row.fields[0], "", row.where) for row in rows]
        lines = enumerate(read_lines(path, self.encoding_of(path)), start=1)
        return [Example(line, "", f"{path}:{number}") for number, line in lines if line.strip()]
