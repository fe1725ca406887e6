"""Sentences with a tag a token, from CoNLL and CoNLL-U files."""

from __future__ import annotations

from dataclasses import dataclass

from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.files import ExampleFiles
from seqzoo.data.reading import read_conll


@dataclass(eq=False, kw_only=True)
class TaggingFiles(ExampleFiles, TaggingData):
    """token_column, tag_column: numbers from 0 (-1 is the last), or names of CoNLL-U: form, lemma, upos, xpos, deprel.

    tokenizer: how raw lines are split when a trained model predicts.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    token_column: str | int = 0
    tag_column: str | int = -1
    tokenizer: str = "whitespace"

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read_split(self, split: str) -> list[Example] | None:
        name = getattr(self, split)
        if name is None:
            return None
        sentences = read_conll(self.path(name), [self.token_column, self.tag_column], self.encoding)
        return [Example(columns[0], columns[1], where) for columns, where in sentences]
