"""Baselines for trees: values of a tiny set, and what is read of a node."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from seqzoo.baselines.contract import Split
from seqzoo.baselines.majority_label import MajorityLabel
from seqzoo.baselines.phrases import MOST_WORDS, Phrases, Roots
from seqzoo.baselines.tree_classifier import TreeClassifier
from seqzoo.runs.baseline_scores import Baselines, configured_baselines

TREES = {
    "train": """(2 (1 a) (2 (1 good) (0 film)))
(0 (0 bad) (0 film))
(0 (0 bad) (1 story))
(2 (2 good) (1 story))
2\t( ( good) ( story))
""",
    "validation": "(2 (2 good) (0 film))\n(0 (0 bad) (1 story))\n",
    "test": "(0 (1 a) (0 (0 bad) (0 film)))\n(2 (1 unheardof) (2 (1 good) (0 film)))\n",
}


@pytest.fixture
def found(tmp_path: Path) -> Baselines:
    for split, lines in TREES.items():
        (tmp_path / f"{split}.txt").write_text(lines)
    paths = [f"data.{split}={tmp_path / split}.txt" for split in TREES]
    return configured_baselines("task=tree_classification", "data=tree_files", *paths)


def splits_of(found: Baselines) -> dict[str, Split]:
    return {name: Split(found.data, found.task, name) for name in TREES}


def test_labelled_nodes_are_texts(found: Baselines) -> None:
    train = splits_of(found)["train"]
    phrases, roots = Phrases(train), Roots(train)
    assert phrases.tokens[:5] == [["a"], ["good"], ["film"], ["good", "film"], ["a", "good", "film"]]
    assert phrases.references[:5] == ["1", "1", "0", "2", "2"]
    assert phrases.are_roots == [*[False] * 4, True, *[False, False, True] * 3, True]
    assert [" ".join(words) for words in roots.tokens] == ["a good film", "bad film", "bad story", *["good story"] * 2]
    assert roots.references == ["2", "0", "0", "2", "2"]
    assert phrases.answers(phrases.references) == train.references


def test_majority(found: Baselines) -> None:
    splits, baseline = splits_of(found), MajorityLabel()
    baseline.fit(splits["train"], splits["validation"])
    # of 10 nodes below roots, four are 0, four 1; of five roots, three are 2
    assert baseline.description == "always 2; 0 below the root"
    answers = baseline.answer(splits["test"])
    assert answers.answers == ["(2 (0 a) (0 (0 bad) (0 film)))", "(2 (0 unheardof) (0 (0 good) (0 film)))"]
    counts = [4, 4, 4, 4, 4, 4, 4, 2]  # of the correct labels below the roots: 1 0 0 0, 1 1 0 2
    assert answers.loss is not None
    expected = -sum(math.log(count / 10) for count in counts) - math.log(2 / 5) - math.log(3 / 5)
    assert float(answers.loss.total) == pytest.approx(expected)
    assert splits["test"].scores(answers)["accuracy"] == 1 / 2


def test_roots_by_ngrams_and_other_nodes_by_their_words(found: Baselines) -> None:
    splits, baseline = splits_of(found), TreeClassifier()
    baseline.fit(splits["train"], splits["validation"])
    assert baseline.answer(splits["test"]).answers == [
        "(0 (1 a) (0 (0 bad) (0 film)))",
        "(2 (0 unheardof) (2 (1 good) (0 film)))",
    ]


def test_the_command_scores_both(tmp_path: Path, found: Baselines, command: Callable) -> None:
    paths = [f"data.{split}={tmp_path / split}.txt" for split in TREES]
    done = command("baseline", "task=tree_classification", "data=tree_files", *paths)
    assert done.status == 0
    header, first, last = done.out.splitlines()
    assert "validation node_accuracy" in header
    assert first.startswith("n-grams with logistic regression  ")
    assert last.startswith("majority label  ")


def test_deep_trees_cost_no_more_than_a_text_per_node(tmp_path: Path) -> None:
    deep = "(0 (0 w) " * 700 + "(0 w)" + ")" * 700
    (tmp_path / "train.txt").write_text(f"{deep}\n(1 a)\n" * 10)
    options = [f"data.train={tmp_path}/train.txt", f"data.validation={tmp_path}/train.txt"]
    found = configured_baselines("task=tree_classification", "data=tree_files", *options)
    split = Split(found.data, found.task, "train")
    assert max(map(len, Phrases(split).tokens)) == MOST_WORDS
    assert sorted(map(len, Roots(split).tokens))[-10:] == [701] * 10
