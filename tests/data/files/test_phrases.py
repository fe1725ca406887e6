"""Labelled trees: every phrase of a training sentence is an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.phrase_files import PhraseFiles
from seqzoo.data.sources.reading import read_trees

TREES = "(4 (2 It) (4 (3 really) (3 shines)))\n(1 (2 It) (1 bores))\n"


def files(tmp_path: Path, **options: dict) -> PhraseFiles:
    (tmp_path / "trees").write_text(TREES)
    (tmp_path / "train").write_text("1 it really shines\n0 it bores\n")
    (tmp_path / "dev").write_text("1 it shines\n")
    return PhraseFiles(
        train="train",
        validation="dev",
        phrases="trees",
        root=str(tmp_path),
        format="label_first",
        tokenizer="whitespace",
        **options,
    )


def test_every_node_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "trees").write_text(TREES)
    rows = read_trees(str(tmp_path / "trees"))
    assert [row.fields for row in rows[:5]] == [
        ["4", "it really shines"],
        ["2", "it"],
        ["4", "really shines"],
        ["3", "really"],
        ["3", "shines"],
    ]
    assert rows[5].where.endswith("trees:2")


def test_phrases_join_the_training_split_once_and_it_alone(tmp_path: Path) -> None:
    found = files(tmp_path, phrase_labels={"0": "0", "1": "0", "3": "1", "4": "1"}).read()
    assert [(example.source, example.target) for example in found["train"]] == [
        ("it really shines", "1"),
        ("it bores", "0"),
        ("really shines", "1"),
        ("really", "1"),
        ("shines", "1"),
        ("bores", "0"),
    ]
    assert len(found["validation"]) == 1


def test_without_other_labels_all_phrases_keep_theirs(tmp_path: Path) -> None:
    found = files(tmp_path).read()["train"]
    assert ("it", "2") in [(example.source, example.target) for example in found]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(3 (2 It) (4 shines)", "1 bracket is not closed"),
        ("words", "'words' is not in brackets"),
        ("(3 )", "a node has neither a word nor children"),
        ("(3 (2 It)))", "follows the tree"),
        ("(3 (2 It) shines)", "found .* expected a tree"),
    ],
)
def test_a_broken_tree_is_told_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "trees").write_text(f"(2 It)\n{line}\n")
    with pytest.raises(DataError, match=f"trees:2: .*{message}"):
        read_trees(str(tmp_path / "trees"))


def test_phrases_of_the_real_treebank(real_data_root: Path) -> None:
    rows = read_trees(str(real_data_root / "sst" / "trees" / "train.txt"))
    assert len(rows) == 318_582
