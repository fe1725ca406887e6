"""Trees as examples: words and labels of nodes, and their parents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.masking import IGNORED
from seqzoo.contracts.spec import Codec, DataSpec, MostChildren
from seqzoo.contracts.tree_notation import EXAMPLES, Tree, TreeForm, most_children, parse_tree, tree_over
from seqzoo.data.batching.ragged import Ragged
from seqzoo.data.examples import Encoded, Example, LabelledData
from seqzoo.data.label_codecs import check_classes, label_codec
from seqzoo.data.sources.treebanks import tree_of_json
from seqzoo.data.text.codec import LabelCodec, TextCodec


@dataclass(eq=False, kw_only=True)
class TreeData(LabelledData):
    """Trees, whose nodes are the steps, children before parents.

    Inputs (B, T) are the words of nodes, `PAD` where a node has none; `Batch.parents` (B, T) are their parents, and
    targets (B, T) their labels, `IGNORED` where a node has none. Trees are not truncated.
    """

    truncate: ClassVar[bool] = False  # type: ignore[misc]

    kind = "trees"
    structure = ("parents",)

    def form(self) -> TreeForm:
        """How a text that is to be predicted becomes a tree."""
        return "brackets"

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), trees=self.form())

    def texts(self, example: Example) -> list[list[str]]:
        return [[word for word in example.source if word]]

    def target_codec(self, examples: list[Example]) -> LabelCodec:
        return label_codec({label: example.where for example in examples for label in example.target if label})

    def every_label(self, examples: list[Example], trained: LabelCodec) -> LabelCodec:
        return self.target_codec(examples)

    def encode_target(self, example: Example, codec: Codec, source: list[str]) -> list[int]:
        if not len(example.target) == len(example.parents) == len(source):
            counts = f"{len(source)} words, {len(example.target)} labels and {len(example.parents)} parents"
            raise DataError(f"a tree has {counts}: give one of each per node")
        return [codec.encode(label)[0] if label else IGNORED for label in example.target]

    def enriched(self, spec: DataSpec, examples: dict[str, list[Example]]) -> DataSpec:
        trees = [example for of_split in examples.values() for example in of_split]
        widest = max(trees, key=lambda example: most_children(example.parents))
        children = MostChildren(most_children(widest.parents), widest.where)
        return replace(super().enriched(spec, examples), children=children)

    def _count(self, examples: list[Example]) -> DataSpec:
        check_classes(Counter(label for example in examples for label in example.target if label), "node")
        return replace(super()._count(examples), trees=self.form())

    def _encode(self, examples: list[Example], spec: DataSpec) -> Encoded:
        above = Ragged([parent + 1 for parent in example.parents] for example in examples)
        return super()._encode(examples, spec)._replace(parents=above)


def example_of(tree: Tree, where: str = "") -> Example:
    """A tree as an example."""
    return Example(tree.words, tree.labels, where, parents=tree.parents)


def tree_in(text: str | list[str], form: TreeForm, codec: TextCodec) -> Tree:
    """The tree of a text that is to be predicted.

    Args:
        text: a tree, or a text or its tokens.
        form: how it becomes a tree.
        codec: of the words.

    Raises:
        DataError: there is no tree where the model reads given ones.
    """
    if form == "left" or form == "right" or form == "balanced":
        return tree_over(codec.split(text), form) if codec.split(text) else Tree([], [], [])
    if not isinstance(text, str):
        raise DataError(f"the model reads trees: write one, such as {EXAMPLES[form]}")
    tree = tree_of_json(text, labelled=False) if form == "json" else parse_tree(text, form)
    return tree._replace(words=[one_token(word, codec) for word in tree.words])


def one_token(word: str, codec: TextCodec) -> str:
    """The token of a word; several are joined with spaces, because a leaf is one word."""
    return " ".join(codec.split(word)) or word
