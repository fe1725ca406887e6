"""Trees as lines of text."""

from __future__ import annotations

from seqzoo.contracts.capabilities import ScoredTree
from seqzoo.contracts.tree_notation import parse_tree, tree_over
from seqzoo.inspection.tree_drawing import tree_lines


def test_a_tree_is_drawn_from_its_root() -> None:
    tree = parse_tree("(3 (2 It) (4 (4 really) (3 shines)) (2 !))", "brackets")
    assert tree_lines(ScoredTree(tree, [0.98, 0.6, 0.5, 0.7, 1.0, 0.624])) == [
        "3 (0.62)",
        "├─ 2 It (0.98)",
        "├─ 4 (0.70)",
        "│  ├─ 4 really (0.60)",
        "│  └─ 3 shines (0.50)",
        "└─ 2 ! (1.00)",
    ]


def test_a_deep_tree_and_an_empty_one() -> None:
    deep = tree_over([str(number) for number in range(1_500)], "right")
    assert len(tree_lines(ScoredTree(deep, [1.0] * len(deep.words)))) == 2_999
    assert tree_lines(ScoredTree(deep._replace(words=[], parents=[], labels=[]), [])) == []
