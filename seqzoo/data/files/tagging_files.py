"""Tagged sentences from CoNLL and CoNLL-U files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.span_notation import convert, is_broken, scheme_of
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.files.base import SplitFiles
from seqzoo.data.sources.conll import read_conll, token_and_tag
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import get_tokenizer


@dataclass(eq=False, kw_only=True)
class TaggingFiles(SplitFiles, TaggingData):
    """Tagged sentences from files.

    Args:
        columns: the columns of token and tag, as of `seqzoo.data.sources.conll.Conll`.
        tokenizer: of raw lines for prediction.
        scheme: keep the scheme of tags that mark spans (keep), or convert them to one of
            `seqzoo.contracts.span_notation`. Sentences that break their scheme are read as by conlleval.
        repair: repair sentences that break their scheme, as conlleval reads them.
    """

    columns: dict[str, str | int | None] = field(default_factory=lambda: {"token": None, "tag": -1})
    tokenizer: str = "whitespace"
    scheme: Literal["keep", "bio", "bioes"] = "keep"
    repair: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        token_and_tag(self.columns)
        if self.tokenizer in SUBWORDS:
            raise ValueError(
                f"tokenizer={self.tokenizer} splits words, but tags belong to whole words: choose another one"
            )
        get_tokenizer(self.tokenizer)

    def tokenizer_of_inputs(self) -> str:
        return self.tokenizer

    def read_file(self, name: str) -> list[Example]:
        path = self.path(name)
        _, sentences, statement = read_conll(path, self.columns, self.encoding_of(path))
        self.state(path, statement)
        return [Example(*sentence) for sentence in sentences]

    def read(self) -> dict[str, list[Example]]:
        splits = super().read()
        scheme = scheme_of(list(example.target) for example in splits.get("train", []))
        converts = self.repair or self.scheme not in ("keep", scheme)
        if scheme is None and converts:
            option = "data.repair=true" if self.scheme == "keep" else f"data.scheme={self.scheme}"
            raise DataError(
                f"{option} is for tags that mark spans (B-TYPE, I-TYPE, ...), but these do not: leave it out"
            )
        if scheme is None:
            return splits
        consequence = "; repaired" if converts else "; data.repair=true repairs them"
        self.remarks = [*self.remarks, *broken_rows(splits, scheme, consequence)]
        if not converts:
            return splits
        target_scheme = scheme if self.scheme == "keep" else self.scheme
        return {
            split: [example._replace(target=convert(list(example.target), target_scheme)) for example in examples]
            for split, examples in splits.items()
        }


def broken_rows(splits: dict[str, list[Example]], scheme: str, consequence: str) -> list[str]:
    """A remark on the examples whose tags break their scheme; none where there are none."""
    broken = [
        example.where for examples in splits.values() for example in examples if is_broken(list(example.target), scheme)
    ]
    if not broken:
        return []
    count = f"{counted(len(broken), 'sentence')} {'breaks' if len(broken) == 1 else 'break'}"
    listed = ", ".join([*broken[:3], *["..."] * (len(broken) > 3)])
    return [f"{count} the scheme of the tags, {scheme}, at {listed}{consequence}"]
