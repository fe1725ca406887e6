"""Nested lists of digits under MAX, MIN, MED and SM, as in ListOps; each node is labelled with its value.

Nangia & Bowman, ListOps: A Diagnostic Dataset for Latent Tree Learning, 2018, https://aclanthology.org/N18-4013
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from seqzoo.contracts.spec import DataSpec, MostChildren
from seqzoo.contracts.tree_notation import Tree, TreeForm, parse_tree
from seqzoo.data.examples import Example
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.list_values import OPERATORS, with_values
from seqzoo.data.splits import split_sizes
from seqzoo.data.tree_data import TreeData, example_of


@dataclass(eq=False, kw_only=True)
class NestedLists(TreeData):
    """Expressions such as "[MAX 2 [MIN 4 7 ] 0 ]"; none occurs twice.

    Args:
        depth: maximum number of lists inside each other.
        arguments: maximum number of arguments of an operator, at least 2.

    Raises:
        ValueError: there are less than one list or two arguments.
    """

    depth: int = 3
    arguments: int = 3
    train_size: int = 5_000
    validation_size: int = 500
    test_size: int = 500

    largest_input = 16
    largest_output = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.depth <= 20 or not 2 <= self.arguments <= 20:
            raise ValueError(f"depth={self.depth} must be from 1 to 20, and arguments={self.arguments} from 2 to 20")

    def form(self) -> TreeForm:
        return "expressions"

    def expected_spec(self) -> DataSpec:
        return replace(super().expected_spec(), children=MostChildren(self.arguments))

    def read(self) -> dict[str, list[Example]]:
        splits = distinct_splits(self._draw, split_sizes(self))
        return {split: [example_of(_labelled(text)) for text in texts] for split, texts in splits.items()}

    def _draw(self, count: int, seed: int) -> list[str]:
        source = random.Random(seed)
        return [self._list(source, self.depth) for _ in range(count)]

    def _list(self, source: random.Random, depth: int) -> str:
        """A list with lists inside it, at most `depth` in all, and usually fewer."""
        parts = [
            self._list(source, depth - 1) if depth > 1 and source.random() < 0.3 else str(source.randrange(10))
            for _ in range(source.randint(2, self.arguments))
        ]
        return f"[{source.choice(list(OPERATORS))} {' '.join(parts)} ]"


def _labelled(text: str) -> Tree:
    """The tree of an expression, in which each node is labelled with its value."""
    tree = parse_tree(text, "expressions")
    return with_values(tree._replace(labels=list(tree.words)))
