"""Trees in text, by value."""

from __future__ import annotations

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.tree_notation import Tree, labels_in, ordered_tree, parse_tree, tree_over, tree_text


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("(3 (2 It) (4 shines))", Tree(["It", "shines", ""], [2, 2, -1], ["2", "4", "3"])),
        ("(S (NP (N dogs)) (VP bark))", Tree(["dogs", "", "bark", ""], [1, 3, 3, -1], ["N", "NP", "VP", "S"])),
        ("(2 x)", Tree(["x"], [-1], ["2"])),
        ("(A a (B b) c)", Tree(["a", "b", "c", ""], [3, 3, 3, -1], ["", "B", "", "A"])),
        ("( ( [MAX 2 ) ] )", Tree(["[MAX", "2", "", "]", ""], [2, 2, 4, 4, -1], [""] * 5)),
    ],
)
def test_brackets(text: str, tree: Tree) -> None:
    assert parse_tree(text, "brackets") == tree


@pytest.mark.parametrize("text", ["[MAX 2 [MIN 4 7 ] ]", "(MAX 2 (MIN 4 7))", "[ MAX 2 [ MIN 4 7 ] ]"])
def test_expressions(text: str) -> None:
    expected = Tree(["2", "4", "7", "MIN", "MAX"], [4, 3, 3, 4, -1], [""] * 5)
    assert parse_tree(text, "expressions") == expected


def test_round_brackets_beside_square_ones_are_ignored() -> None:
    assert parse_tree("( ( ( [SM 6 ) 5 ) ] )", "expressions") == parse_tree("[SM 6 5 ]", "expressions")
    assert parse_tree("7", "expressions") == Tree(["7"], [-1], [""])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(3 (2 It) (4 shines)", "1 bracket is not closed"),
        ("(3 ((2 It)", "2 brackets are not closed"),
        ("(3 (2 It)) )", r"'\)' follows the tree"),
        (")", "a bracket is closed that was not opened"),
        ("(2 It) (4 shines)", r"'\(4' follows the tree, which has one root"),
        ("(3 (2) (4 shines))", "a node has neither a word nor children"),
        ("It shines", "'It' is not in brackets"),
        ("", "there is no tree"),
    ],
)
def test_what_is_no_tree_is_told(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_tree(text, "brackets")


def test_trees_over_words() -> None:
    def text(form: str) -> str:
        return tree_text(tree_over(["a", "b", "c", "d", "e"], form))  # type: ignore[arg-type]

    assert text("left") == "( ( ( ( ( a) ( b)) ( c)) ( d)) ( e))"
    assert text("right") == "( ( a) ( ( b) ( ( c) ( ( d) ( e)))))"
    assert text("balanced") == "( ( ( ( a) ( b)) ( c)) ( ( d) ( e)))"
    assert tree_over(["a"], "left") == Tree(["a"], [-1], [""])


@pytest.mark.parametrize("form", ["left", "right", "balanced"])
def test_every_order_has_children_first_and_words_from_left_to_right(form: str) -> None:
    tree = tree_over(list("abcdefg"), form)  # type: ignore[arg-type]
    assert all(parent > node for node, parent in enumerate(tree.parents[:-1]))
    assert tree_text(tree).translate(str.maketrans("", "", "() ")) == "abcdefg"


def test_nodes_in_any_order() -> None:
    tree = ordered_tree(["a", "b", "c", "d"], [1, -1, 1, 2], list("wxyz"))
    assert tree == Tree(["a", "d", "c", "b"], [3, 2, 3, -1], ["w", "z", "y", "x"])


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([1, 2, 0], "node 1 is below itself"),
        ([-1, 2, 1], "node 2 is below itself"),
        ([-1, -1, 0], r"2 nodes are roots \(1, 2\)"),
        ([-1, 3, 0], "the parent of node 2 is 4: there are 3 nodes"),
    ],
)
def test_other_graphs_are_refused(parents: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ordered_tree(list("abc"), parents, list("xyz"))


def test_text_of_a_tree() -> None:
    text = "(3 (2 It) (4 (4 shines) (2 !)))"
    assert tree_text(parse_tree(text, "brackets")) == text
    assert labels_in(text) == ["3", "2", "4", "4", "2"]
    assert tree_text(Tree(["(", "b", "f"], [2, 2, -1], ["1", "", "2"])) == "(2 f (1 -LRB-) ( b))"


def test_a_tree_of_depth_2000() -> None:
    words = [str(number) for number in range(2_001)]
    tree = tree_over(words, "right")
    assert parse_tree(tree_text(tree), "brackets").parents[-3:] == tree.parents[-3:]
    assert ordered_tree(tree.words, tree.parents, tree.labels).words[0] == "0"
