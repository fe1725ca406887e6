"""Pairs of texts, such as translations: two files aligned by line, or two columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.contracts.spec import DataSpec
from seqzoo.data.batching.bucketing import Length, by_both_sides
from seqzoo.data.examples import Example, TransductionData
from seqzoo.data.files.base import ExampleFiles
from seqzoo.data.files.held_out import Key
from seqzoo.data.sources.reading import Row, read_parallel
from seqzoo.data.sources.text_forms import find_pairs
from seqzoo.data.text.codec import TextCodec, check_tokenizer
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import REVERSED, inner_name
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS


@dataclass(eq=False, kw_only=True)
class ParallelFiles(ExampleFiles, TransductionData):
    """Pairs of texts from files.

    Args:
        train_source, validation_source, test_source: file of the sources of this split; None: the split is held out.
        train_target, validation_target, test_target: file of the targets, aligned by line with the sources; None: the
            source file is a table with both sides.
        source_column, target_column: of such a table, names in its header or zero-based indices.
        source_tokenizer, target_tokenizer: of each side.
        shared_subwords: learn subwords jointly from both sides, so that names are split alike.
        bucket_by: what the pairs of a batch have in common: the length of the longer side, or of both sides
            (`seqzoo.data.batching.bucketing.by_both_sides`), which means less padding.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "validation_fraction": "validation_source=null",
        "test_fraction": "test_source=null",
        "validation_target": "validation_source!=null",
        "test_target": "test_source!=null",
        "source_column": "train_target=null or validation_source!=null or test_source!=null",
        "target_column": "train_target=null or validation_source!=null or test_source!=null",
        "shared_subwords": "source_tokenizer=bpe,unigram,reversed:bpe,reversed:unigram or target_tokenizer=bpe,unigram",
    }

    train_source: str
    train_target: str | None = None
    validation_source: str | None = None
    validation_target: str | None = None
    test_source: str | None = None
    test_target: str | None = None
    source_column: str | int = 0
    target_column: str | int = 1
    source_tokenizer: str = "words"
    target_tokenizer: str = "words"
    shared_subwords: bool = False
    bucket_by: Literal["longer_side", "both_sides"] = "longer_side"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tokenizer(self.source_tokenizer, self.vocabulary_size)
        check_tokenizer(self.target_tokenizer, self.vocabulary_size)
        if self.target_tokenizer.startswith(REVERSED):
            raise ValueError(f"target_tokenizer is {self.target_tokenizer}: only sources can be reversed")

    def tokenizer_of_inputs(self) -> str:
        return self.source_tokenizer

    def tokenizer_of_targets(self) -> str:
        return self.target_tokenizer

    def read_split(self, split: str) -> list[Example] | None:
        source, target = getattr(self, f"{split}_source"), getattr(self, f"{split}_target")
        if source is None:
            return None
        if target is None:
            rows = self._pairs(self.path(source))
        else:
            paths = self.path(source), self.path(target)
            rows = read_parallel(*paths, *map(self.encoding_of, paths))
        return [Example(fields[0], fields[1], where) for fields, where in rows]

    def _pairs(self, path: str) -> list[Row]:
        """The pairs of a table."""
        encoding = self.encoding_of(path)
        form = find_pairs(path, encoding, self.source_column, self.target_column)
        self.state(path, form.statement)
        return form.read(path, encoding)

    def keys(self, examples: Sequence[Example]) -> list[Key]:
        """The connected component of each pair, where pairs with a common source or target are connected, so that
        neither a source nor a target is in two splits.
        """
        parent: dict[tuple[bool, str], tuple[bool, str]] = {}

        def root(text: tuple[bool, str]) -> tuple[bool, str]:
            while (higher := parent.setdefault(text, text)) != text:
                parent[text] = parent[higher]  # path halving
                text = higher
            return text

        pairs = [((False, str(example.source)), (True, str(example.target))) for example in examples]
        for pair in pairs:
            first, second = sorted(map(root, pair))
            parent[second] = first  # the root is a source, since sources sort before targets
        return [(root(source)[1],) for source, _ in pairs]

    def bucket_lengths(self, sources: list[list[int]], answers: list[list[int]]) -> Sequence[Length]:
        if self.bucket_by == "longer_side":
            return super().bucket_lengths(sources, answers)
        return [by_both_sides(len(source), len(answer)) for source, answer in zip(sources, answers, strict=True)]

    def _count(self, examples: list[Example]) -> DataSpec:
        sources, targets = [example.source for example in examples], [example.target for example in examples]

        def codec(tokenizer: str, texts: list, specials: tuple[str, ...]) -> TextCodec:
            if self.shared_subwords and inner_name(tokenizer) in SUBWORDS:
                texts = [*sources, *targets]
            return TextCodec.learn(tokenizer, texts, specials, self.min_frequency, self.vocabulary_size)

        if self.origin is None:
            inputs = codec(self.source_tokenizer, sources, SOURCE_SPECIALS)
        else:
            inputs = self.learn_inputs(sources)
        outputs = codec(self.target_tokenizer, targets, TARGET_SPECIALS)
        return DataSpec(self.kind, inputs.size, outputs.size, inputs, outputs)
