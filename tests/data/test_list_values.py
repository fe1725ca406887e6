"""Values of nested lists, against Python's evaluation of the same expressions."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.tree_notation import parse_tree
from seqzoo.data.files.tree_files import TreeFiles
from seqzoo.data.list_values import with_values
from seqzoo.data.sources.treebanks import read_treebank


def drawn(source: random.Random, depth: int) -> tuple[str, str, int]:
    """An expression, the same in the binary brackets of ListOps' files, and its value."""
    operator = source.choice(["MAX", "MIN", "MED", "SM"])
    text, brackets, values = f"[{operator}", f"[{operator}", []
    for _ in range(source.randint(1, 4)):
        if depth and source.random() < 0.4:
            inner, inner_brackets, value = drawn(source, depth - 1)
        else:
            value = source.randrange(10)
            inner = inner_brackets = str(value)
        text, brackets = f"{text} {inner}", f"( {brackets} {inner_brackets} )"
        values.append(value)
    results = {"MAX": max(values), "MIN": min(values), "SM": sum(values) % 10, "MED": int(statistics.median(values))}
    return f"{text} ]", f"( {brackets} ] )", results[operator]


def test_random_lists_have_their_values() -> None:
    source = random.Random(0)
    for _ in range(50):
        text, brackets, value = drawn(source, 3)
        assert with_values(parse_tree(text, "expressions")).labels[-1] == str(value)
        assert with_values(parse_tree(brackets, "brackets")).labels[-1] == str(value)


def test_only_complete_lists_are_labelled() -> None:
    tree = with_values(parse_tree("( ( ( [MAX 2 ) ( ( ( [SM 4 ) 7 ) ] ) ) ] )", "brackets"))
    words = ["[MAX", "2", "", "[SM", "4", "", "7", "", "]", "", "", "]", ""]
    assert tree.words == words
    assert [label for label in tree.labels if label] == ["1", "2"]
    assert (tree.labels[9], tree.labels[12]) == ("1", "2")


@pytest.mark.parametrize(
    "line", ["3\t( ( [MAX 2 ) ( ] 4 ) )", "3\t( [ADD 2 )", "3\t( ( [MAX 12 ) ] )", "3\t(3 (2 It) (4 is))"]
)
def test_other_trees_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "lists").write_text(f"{line}\n", encoding="utf-8")
    data = TreeFiles(train=str(tmp_path / "lists"), validation=str(tmp_path / "lists"), list_values=True)
    with pytest.raises(DataError, match=r"lists:1: a node .*is no list of digits under MAX, MIN, MED, SM"):
        data.load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3\t( ( ( [MAX 2 ) 9 ) ] )", "the label is 3, and the value of the list 9"),
        ("2\t( [MAX 2 )", "the list has no closing bracket"),
        ("5\t( ( [MAX \u0663 ) ] )", "is no list of digits"),
    ],
)
def test_other_labels_and_lists_without_an_end_are_refused(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "lists").write_text(f"{line}\n", encoding="utf-8")
    data = TreeFiles(train=str(tmp_path / "lists"), validation=str(tmp_path / "lists"), list_values=True)
    with pytest.raises(DataError, match=f"lists:1: .*{message}"):
        data.load()


def test_values_equal_the_labels_of_the_files(real_data_root: Path) -> None:
    trees = read_treebank(str(real_data_root / "listops" / "test_d20s.tsv"), "brackets", "", "utf-8")
    assert all(with_values(tree).labels[-1] == tree.labels[-1] for tree, _ in trees[:500])
