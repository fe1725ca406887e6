"""Trees as lines of text: the label, word and probability of each node, below its parent."""

from __future__ import annotations

from seqzoo.contracts.capabilities import ScoredTree
from seqzoo.contracts.tree_notation import children_of


def tree_lines(scored: ScoredTree) -> list[str]:
    """Draw a tree, the root first.

    Args:
        scored: the tree.

    Returns:
        A line for each node: lines to its parent, label, word, and the probability of the label.
    """
    tree, children, lines = scored.tree, children_of(scored.tree.parents), list[str]()
    waiting = [(len(tree.words) - 1, "", "")] if tree.words else []
    while waiting:
        node, before, below = waiting.pop()
        parts = [part for part in (tree.labels[node], tree.words[node]) if part]
        lines.append(f"{before}{' '.join(parts)} ({scored.probabilities[node]:.2f})")
        inner = [(child, f"{below}├─ ", f"{below}│  ") for child in children[node][:-1]]
        last = [(child, f"{below}└─ ", f"{below}   ") for child in children[node][-1:]]
        waiting += reversed(inner + last)
    return lines
