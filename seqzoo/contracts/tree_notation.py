"""Trees in text: labelled brackets as of treebanks, and nested expressions; and trees over words that have none.

(3 (2 It) (4 shines))      a node has a label and a word, or a label and nodes
[MAX 2 [MIN 4 7 ] 0 ]      the first word of a bracket is that of the node, the others are leaves
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from seqzoo.contracts.errors import DataError

TreeForm = Literal["brackets", "expressions", "json", "left", "right", "balanced"]
"""How a text becomes a tree: it is one, in labelled brackets, as an expression or in JSON; or one is built over
its words."""

_BRACKETS = re.compile(r"\([^ \t()]*|\)|[^ \t()]+")
_EXPRESSIONS = re.compile(r"[\[\]()]|[^\s\[\]()]+")
_LABELS = re.compile(r"\(([^ \t()]*)")
_ESCAPED = {"(": "-LRB-", ")": "-RRB-"}


class Tree(NamedTuple):
    """A tree, whose nodes are in such an order that children come before their parents, and left ones before others.

    Attributes:
        words: of the nodes; empty: a node has no word.
        parents: of the nodes; -1 at the root, which is the last.
        labels: of the nodes; empty: a node has no label.
    """

    words: list[str]
    parents: list[int]
    labels: list[str]


@dataclass
class _Node:
    label: str = ""
    word: str = ""
    children: list[int] = field(default_factory=list)


class _Builder:
    """A tree that grows from its leaves."""

    def __init__(self) -> None:
        self.tree = Tree([], [], [])

    def add(self, node: _Node) -> int:
        """Add a node whose children are there; returns its number."""
        number = len(self.tree.words)
        self.tree.words.append(node.word)
        self.tree.labels.append(node.label)
        self.tree.parents.append(-1)
        for child in node.children:
            self.tree.parents[child] = number
        return number

    def add_word(self, parent: _Node) -> None:
        """Make the word of a node a leaf below it."""
        if parent.word:
            parent.children.append(self.add(_Node(word=parent.word)))
            parent.word = ""


def parse_tree(text: str, form: Literal["brackets", "expressions"]) -> Tree:
    """Read a tree.

    Args:
        text: the tree. In brackets, several words of a node are leaves without a label. Where an expression has square
            brackets, round ones are ignored, as in the files of ListOps.
        form: of the text.

    Raises:
        DataError: brackets do not match, a node is empty, or there is not exactly one tree.
    """
    expression = form == "expressions"
    pieces = (_EXPRESSIONS if expression else _BRACKETS).findall(text)
    if expression and "[" in pieces:
        pieces = [piece for piece in pieces if piece not in "()"]
    if expression and len(pieces) == 1 and pieces[0] not in "[]()":
        return Tree(pieces, [-1], [""])
    builder, open_nodes, complete = _Builder(), list[_Node](), False
    for piece in pieces:
        closes = piece == ")" or (expression and piece == "]")
        if complete:
            raise DataError(f"{piece!r} follows the tree, which has one root: write one tree per line")
        if piece[0] == "(" or (expression and piece == "["):
            if open_nodes and not expression:
                builder.add_word(open_nodes[-1])
            open_nodes.append(_Node(label=piece[1:]))
        elif not open_nodes:
            what = "a bracket is closed that was not opened" if closes else f"{piece!r} is not in brackets"
            raise DataError(f"{what}: write a tree such as {EXAMPLES[form]}")
        elif closes:
            node = open_nodes.pop()
            if node.children and not expression:
                builder.add_word(node)
            if not node.word and not node.children:
                raise DataError(f"a node has neither a word nor children: write a tree such as {EXAMPLES[form]}")
            number = builder.add(node)
            complete = not open_nodes
            if open_nodes:
                open_nodes[-1].children.append(number)
        elif expression and open_nodes[-1].word:
            open_nodes[-1].children.append(builder.add(_Node(word=piece)))
        else:
            builder.add_word(open_nodes[-1])
            open_nodes[-1].word = piece
    if not complete:
        count = f"{len(open_nodes)} bracket{'s are' if len(open_nodes) > 1 else ' is'} not closed"
        raise DataError(f"{count if open_nodes else 'there is no tree'}: write a tree such as {EXAMPLES[form]}")
    return builder.tree


EXAMPLES = {
    "brackets": "(3 (2 It) (4 shines))",
    "expressions": "[MAX 2 [MIN 4 7 ] 0 ]",
    "json": '{"words": ["It", "shines", null], "parents": [3, 3, 0], "labels": ["2", "4", "3"]}',
}


def tree_over(words: Sequence[str], form: Literal["left", "right", "balanced"]) -> Tree:
    """A binary tree over words, without labels.

    Args:
        words: the leaves, from left to right; at least one.
        form: left: ((a b) c) d; right: a (b (c d)); balanced: halves of halves, (a b) (c d).
    """
    builder = _Builder()

    def above(*children: int) -> int:
        return builder.add(_Node(children=[*children]))

    def leaf(word: str) -> int:
        return builder.add(_Node(word=word))

    def halves(part: Sequence[str]) -> int:
        middle = (len(part) + 1) // 2
        return leaf(part[0]) if len(part) == 1 else above(halves(part[:middle]), halves(part[middle:]))

    # siblings in the order of the nodes
    if form == "balanced":
        halves(words)
    elif form == "left":
        node = leaf(words[0])
        for word in words[1:]:
            node = above(node, leaf(word))
    else:
        leaves = [leaf(word) for word in words]
        node = leaves.pop()
        while leaves:
            node = above(leaves.pop(), node)
    return builder.tree


def ordered_tree(words: Sequence[str], parents: Sequence[int], labels: Sequence[str]) -> Tree:
    """A tree of nodes in any order; children keep their order.

    Args:
        words, labels: of the nodes.
        parents: of the nodes, from 0; -1 at the root.

    Raises:
        DataError: a parent does not exist, or there is not exactly one root, or a cycle.
    """
    for node, parent in enumerate(parents):
        if not -1 <= parent < len(words):
            raise DataError(f"the parent of node {node + 1} is {parent + 1}: there are {len(words)} nodes")
    children = children_of(parents)
    roots = [node for node, parent in enumerate(parents) if parent == -1]
    if len(roots) > 1:
        listed = ", ".join(str(root + 1) for root in roots[:5])
        raise DataError(f"{len(roots)} nodes are roots ({listed}): a tree has one")
    order, waiting = list[int](), list(roots)
    while waiting:  # parents first, and the last child before others
        order.append(waiting.pop())
        waiting += children[order[-1]]
    if len(order) < len(words):
        in_cycle = min(set(range(len(words))) - set(order))
        raise DataError(f"node {in_cycle + 1} is below itself, or below a node that is: a tree has no cycles")
    order.reverse()
    place = {node: number for number, node in enumerate(order)}
    above = [-1 if parents[node] == -1 else place[parents[node]] for node in order]
    return Tree([words[node] for node in order], above, [labels[node] for node in order])


def children_of(parents: Sequence[int]) -> list[list[int]]:
    """The children of each node."""
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    return children


def most_children(parents: Sequence[int]) -> int:
    """The largest number of children of a node."""
    return max(Counter(parent for parent in parents if parent >= 0).values(), default=0)


def tree_text(tree: Tree) -> str:
    """A tree in labelled brackets. Brackets in words are written -LRB- and -RRB-, as in the Penn Treebank."""
    children, pieces = children_of(tree.parents), list[str]()
    waiting: list[int | str] = [len(tree.words) - 1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            pieces[-1] += node
            continue
        word = "".join(_ESCAPED.get(letter, letter) for letter in tree.words[node])
        pieces.append(f"({tree.labels[node]} {word}".rstrip() if tree.labels[node] else f"( {word}".rstrip())
        waiting += [")", *reversed(children[node])]
    return " ".join(pieces)


def labels_in(text: str) -> list[str]:
    """The labels of a tree in brackets, that of the root first; empty where a node has none."""
    return _LABELS.findall(text)
