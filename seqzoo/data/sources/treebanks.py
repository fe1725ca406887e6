"""Reading trees from files: labelled brackets, expressions, JSON lines, and dependency trees of CoNLL-U."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from seqzoo.contracts.errors import DataError, located
from seqzoo.contracts.options import fits
from seqzoo.contracts.tree_notation import EXAMPLES, Tree, ordered_tree, parse_tree
from seqzoo.data.sources.conll import Conll
from seqzoo.data.sources.reading import filled_lines, parse_json, read_lines

TreeFormat = Literal["brackets", "expressions", "json", "conllu"]


class ReadTree(NamedTuple):
    """A tree with its place.

    Attributes:
        tree: the tree.
        where: file and line.
    """

    tree: Tree
    where: str


def read_treebank(path: str, form: TreeFormat, label: str, encoding: str) -> list[ReadTree]:
    """Read a file of trees.

    Args:
        path: of the file.
        form: brackets or expressions: one per line, where "LABEL<tab>tree" labels the root, and a text without brackets
            is a tree whose words are children of the root; json: one object per line,
            with the lists words, parents and labels, which may have nulls (labels may be whole numbers); conllu:
            dependency trees.
        label: the column of CoNLL-U that labels nodes.
        encoding: of the file.

    Raises:
        DataError: something is not a tree, or a node lacks its label.
    """
    if form == "conllu":
        return list(_read_conllu(path, label, encoding))
    trees = []
    for number, line in filled_lines(path, encoding):
        where = f"{path}:{number}"
        with located(where):
            trees.append(ReadTree(tree_of_json(line) if form == "json" else _of_line(line, form), where))
    return trees


def _of_line(line: str, form: Literal["brackets", "expressions"]) -> Tree:
    label, tab, text = line.strip("\r\n").partition("\t")
    if tab:
        tree = _flat(text.split()) if form == "brackets" and "(" not in text else parse_tree(text, form)
        if not label.strip():
            raise DataError("there is no label before the tab: write LABEL, a tab and the tree")
        tree.labels[-1] = label.strip()
        return tree
    if form == "expressions":
        raise DataError(f"there is no label: write LABEL, a tab character and the expression {EXAMPLES[form]}")
    tree = parse_tree(line, form)
    if not tree.labels[-1] and tree.parents.count(len(tree.parents) - 1) == 1:
        # the outermost brackets of the Penn Treebank
        tree = Tree(tree.words[:-1], [*tree.parents[:-2], -1], tree.labels[:-1])
    if "" in tree.labels:
        node = tree.labels.index("")
        what = f"the word {tree.words[node]!r}" if tree.words[node] else "a node"
        raise DataError(f"{what} has no label: write a tree such as {EXAMPLES[form]}, or LABEL, a tab and the tree")
    return tree


def _flat(words: list[str]) -> Tree:
    """A tree whose words are children of the root."""
    if not words:
        raise DataError("there is no tree after the tab")
    return Tree([*words, ""], [*[len(words)] * len(words), -1], [""] * (len(words) + 1))


def tree_of_json(text: str, labelled: bool = True) -> Tree:
    """Read a tree from a JSON object with the lists words, parents (from 1, 0 at the root) and labels.

    Args:
        text: the object.
        labelled: whether it must have labels.

    Raises:
        DataError: the text is not a tree.
    """
    expected = EXAMPLES["json"]
    plain: Any = parse_json(text, "the tree", expected)
    parts: list[Any] = [plain.get(name) for name in ("words", "parents", "labels")] if isinstance(plain, dict) else []
    words, parents, labels = parts or [None] * 3
    if not labelled and labels is None and isinstance(words, list):
        labels = [None] * len(words)
    if not (isinstance(words, list) and isinstance(parents, list) and isinstance(labels, list)):
        raise DataError(f"the lists words, parents and labels are not there: write {expected}")
    labels = [str(label) if fits(label, int) else label for label in labels]
    texts: Any = str | None
    kinds: Any = {
        "words": (words, texts, "a text or null"),
        "labels": (labels, texts, "a text, a whole number or null"),
    }
    kinds["parents"] = parents, int, "the number of a node, or 0 at the root"
    for name, (values, kind, meaning) in kinds.items():
        if wrong := [number for number, value in enumerate(values, 1) if not fits(value, kind)]:
            raise DataError(f"value {wrong[0]} of {name} is {json.dumps(values[wrong[0] - 1])}: it must be {meaning}")
    if not len(words) == len(parents) == len(labels) or not words:
        raise DataError(f"there are {len(words)} words, {len(parents)} parents and {len(labels)} labels: one per node")
    if bad := [label for label in labels if label and (len(label.split()) != 1 or set(label) & set("()"))]:
        raise DataError(f"the label {bad[0]!r} has spaces or brackets: rename it")
    return ordered_tree([word or "" for word in words], [p - 1 for p in parents], [label or "" for label in labels])


def _read_conllu(path: str, label: str, encoding: str) -> Iterator[ReadTree]:
    conll = Conll("form", label, conllu=True)
    head = Conll("form", "head", conllu=True).tag
    for sentence in conll.read(read_lines(path, encoding)):
        if not sentence.tokens:
            continue
        parents, labels = [], []
        for token, word in enumerate(sentence.tokens):
            where = f"{path}:{sentence.line(token)}"
            fields = sentence.fields[token]
            text = sentence.text(token, head) if len(fields) > max(head, conll.tag) else ""
            if not text.isdecimal():
                raise DataError(f"{where}: the head of {word!r} is {text!r}: it must be a number, 0 at the root")
            parents.append(int(text) - 1)
            labels.append(sentence.text(token, conll.tag))
        where = f"{path}:{sentence.line(0)}"
        with located(where):
            if 0 not in (parent + 1 for parent in parents):
                raise DataError("no node is the root: the head of one must be 0")
            yield ReadTree(ordered_tree(sentence.tokens, parents, labels), where)
