"""The labelled nodes of trees as texts, and labels as trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from seqzoo.baselines.contract import Split
from seqzoo.contracts.masking import IGNORED
from seqzoo.contracts.tree_notation import Tree, children_of, tree_text

MOST_WORDS = 200
"""Words of the text of a node below the root; of a longer one, the first are read, so that the cost of deep trees is
bounded."""


class Phrases(Split):
    """The labelled nodes of a split of trees, in their order, each as the text of the words at and below it.

    Args:
        split: of the trees.
    """

    def __init__(self, split: Split):
        super().__init__(split.data, split.task, split.name)

    @cached_property
    def trees(self) -> list[Tree]:
        """With the correct labels."""
        codec, trees = self.spec.target_codec, []
        for batch in self.batches():
            assert batch.parents is not None, "data of trees has parents"
            rows = zip(
                self.task.tokens_read(batch), batch.parents.tolist(), batch.required_targets.tolist(), strict=True
            )
            for words, parents, ids in rows:
                labels = ["" if label == IGNORED else codec.decode([label]) for label in ids[: len(words)]]
                trees.append(Tree(words, parents[: len(words)], labels))
        return trees

    @cached_property
    def references(self) -> list[str]:
        return [label for tree in self.trees for label in tree.labels if label]

    @cached_property
    def tokens(self) -> list[list[str]]:
        return [text for tree in self.trees for text in _texts(tree)]

    @cached_property
    def are_roots(self) -> list[bool]:
        """Whether each node is a root."""
        pairs = (pair for tree in self.trees for pair in zip(tree.parents, tree.labels, strict=True))
        return [parent < 0 for parent, label in pairs if label]

    def answers(self, labels: Sequence[str]) -> list[str]:
        """The trees in brackets, with these labels at the labelled nodes."""
        given = iter(labels)
        return [
            tree_text(tree._replace(labels=[next(given) if label else "" for label in tree.labels]))
            for tree in self.trees
        ]


class Roots(Phrases):
    """The labelled roots alone, in the form of a split of `classification`."""

    @cached_property
    def references(self) -> list[str]:
        return [tree.labels[-1] for tree in self.trees if tree.labels[-1]]

    @cached_property
    def tokens(self) -> list[list[str]]:
        return [[word for word in tree.words if word] for tree in self.trees if tree.labels[-1]]


def _texts(tree: Tree) -> Iterator[list[str]]:
    texts: list[list[str]] = []
    for word, label, below in zip(tree.words, tree.labels, children_of(tree.parents), strict=True):
        text = [word] if word else []
        for child in below:
            text += texts[child]
        texts.append(text[:MOST_WORDS])
        if label:
            yield texts[-1]
