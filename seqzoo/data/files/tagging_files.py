"""Sentences with a tag a token, from CoNLL and CoNLL-U files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.span_notation import convert, is_broken, scheme_of
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.files.base import ExampleFiles
from seqzoo.data.sources.conll import CONLLU_COLUMNS, read_conll, token_and_tag
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import get_tokenizer


@dataclass(eq=False, kw_only=True)
class TaggingFiles(ExampleFiles, TaggingData):
    """columns: where each line has its token and its tag, as of `seqzoo.data.sources.conll.Conll`.

    tokenizer: how raw lines are split when a trained model predicts.
    scheme: how tags that mark spans are written: as the files do (keep), or converted to one of
        `seqzoo.contracts.span_notation`. A broken row is converted as scorers read it.
    repair: rows that break the files' own scheme are mended as scorers read them.
    """

    acts_with: ClassVar[dict[str, str]] = {"validation_fraction": "validation=null", "test_fraction": "test=null"}

    train: str
    validation: str | None = None
    test: str | None = None
    columns: dict[str, str | int | None] = field(default_factory=lambda: {"token": None, "tag": -1})
    tokenizer: str = "whitespace"
    scheme: Literal["keep", "bio", "bioes"] = "keep"
    repair: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        token_and_tag(self.columns)
        if self.tokenizer in SUBWORDS:
            raise ValueError(
                f"tokenizer={self.tokenizer} cuts words in pieces, and tags are of words: choose another one"
            )
        get_tokenizer(self.tokenizer)

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read_split(self, split: str) -> list[Example] | None:
        name = getattr(self, split)
        if name is None:
            return None
        conll, sentences = read_conll(self.path(name), self.columns, self.encoding)
        if conll.assumed:
            token, tag = CONLLU_COLUMNS[conll.token], CONLLU_COLUMNS[conll.tag]
            told = f"{name} is CoNLL-U: tokens are its column {token}, tags its column {tag} (data.columns.tag)"
            self.remarks = [*self.remarks, told]
        return [Example(*sentence) for sentence in sentences]

    def read(self) -> dict[str, list[Example]]:
        self.remarks = []
        splits = super().read()
        given = scheme_of(list(example.target) for example in splits.get("train", []))
        mended = self.repair or self.scheme not in ("keep", given)
        if given is None and mended:
            asked = "data.repair=true" if self.scheme == "keep" else f"data.scheme={self.scheme}"
            raise DataError(
                f"{asked} is for tags that mark spans (B-TYPE, I-TYPE, ...), and these do not: leave it out."
            )
        if given is None:
            return splits
        consequence = "; mended" if mended else "; data.repair=true mends them"
        self.remarks = [*self.remarks, *broken_rows(splits, given, consequence)]
        if not mended:
            return splits
        wanted = given if self.scheme == "keep" else self.scheme
        return {
            split: [example._replace(target=convert(list(example.target), wanted)) for example in examples]
            for split, examples in splits.items()
        }


def broken_rows(splits: dict[str, list[Example]], scheme: str, consequence: str) -> list[str]:
    """A sentence about the examples whose tags break their scheme, if there are any."""
    places = [example.where for some in splits.values() for example in some if is_broken(list(example.target), scheme)]
    if not places:
        return []
    count = "1 sentence breaks" if len(places) == 1 else f"{len(places):,} sentences break"
    named = ", ".join([*places[:3], *["..."] * (len(places) > 3)])
    return [f"{count} the scheme of the tags, {scheme}, at {named}{consequence}"]
