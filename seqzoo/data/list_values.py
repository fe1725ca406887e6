"""The values of nested lists of digits, such as [MAX 2 [MIN 4 7 ] 0 ].

Nangia & Bowman, ListOps: A Diagnostic Dataset for Latent Tree Learning, 2018, https://aclanthology.org/N18-4013
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from string import digits
from typing import NamedTuple, TypeAlias

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.tree_notation import Tree, children_of

OPERATORS: dict[str, Callable[[list[int]], int]] = {
    "MAX": max,
    "MIN": min,
    # of an even number, the mean of the two in the middle, rounded down
    "MED": lambda values: int(statistics.median(values)),
    "SM": lambda values: sum(values) % 10,
}


class Partial(NamedTuple):
    """A list that is not complete: its operator and the values so far."""

    operator: str
    values: list[int]


Value: TypeAlias = int | Partial | None
"""The value of a node; None: that of a closing bracket."""


def with_values(tree: Tree) -> Tree:
    """The tree with the value of each list as its label.

    Args:
        tree: an expression, whose nodes have operators as words; or a tree over the words of a list, such as
            ((([MAX 2) 9) ]), as in ListOps' files. Numbers keep the labels that they have.

    Raises:
        DataError: a node is neither a number, nor a list, nor part of one; or the label of the root is not its value.
    """
    values: list[Value] = []
    labels = list(tree.labels)
    for node, (word, children) in enumerate(zip(tree.words, children_of(tree.parents), strict=True)):
        parts = [values[child] for child in children]
        values.append(_value(word, parts))
        if parts and isinstance(values[-1], int):
            labels[node] = str(values[-1])
    if not isinstance(values[-1], int):
        raise DataError("the list has no closing bracket: mend the line, or set data.list_values=false")
    given = tree.labels[-1]
    if given and tree.words[-1] not in OPERATORS and given != labels[-1]:
        raise DataError(
            f"the label is {given}, and the value of the list {labels[-1]}: mend the line, or set "
            "data.list_values=false"
        )
    return tree._replace(labels=labels)


def _value(word: str, parts: list[Value]) -> Value:
    """The value of a node with a word, with children, or with both. Raises DataError if it has none."""
    numbers = [part for part in parts if isinstance(part, int)]
    if word in OPERATORS and numbers and len(numbers) == len(parts):
        return OPERATORS[word](numbers)
    if not parts and len(word) == 1 and word in digits:
        return int(word)
    if not parts and word == "]":
        return None
    if not parts and word.startswith("[") and word[1:] in OPERATORS:
        return Partial(word[1:], [])
    if not word and len(parts) == len(numbers) == 1:  # the root over a text that is one digit
        return numbers[0]
    if not word and len(parts) == 2 and isinstance(parts[0], Partial):
        operator, values = parts[0]
        if isinstance(parts[1], int):
            return Partial(operator, [*values, parts[1]])
        if parts[1] is None and values:
            return OPERATORS[operator](values)
    raise DataError(
        f"a node {f'with the word {word!r} ' if word else ''}is no list of digits under {', '.join(OPERATORS)}: "
        "mend the line, or set data.list_values=false"
    )
