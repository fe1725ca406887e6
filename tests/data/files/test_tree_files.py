"""data=tree_files: trees of all formats, trees over words, and errors with their lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seqzoo.contracts.batch import PAD, UNKNOWN
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.masking import IGNORED
from seqzoo.data.files.tree_files import TreeFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain

BRACKETS = "(3 (2 It) (4 shines))\n(1 (2 It) (0 (1 is) (0 bad)))\n"


def data_of(folder: Path, text: str, **options: Any) -> TreeFiles:
    for name in ("train", "valid"):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    data = TreeFiles(train=str(folder / "train.txt"), validation=str(folder / "valid.txt"), **options)
    data.load()
    return data


def test_a_batch_of_trees(tmp_path: Path) -> None:
    data = data_of(tmp_path, BRACKETS, tokenizer="lower_case")
    [batch] = data.plain_batches("train")
    assert data.structure == ("parents",)
    assert data.spec.trees == "brackets"
    assert batch.parents is not None
    assert batch.targets is not None
    assert batch.tokens is not None
    assert batch.parents.tolist() == [[2, 2, -1, -1, -1], [4, 3, 3, 4, -1]]
    assert batch.lengths.tolist() == [3, 5]
    assert batch.tokens == [["it", "shines", ""], ["it", "is", "bad", "", ""]]
    assert data.spec.target_codec.decode([int(batch.targets[0, 2])]) == "3"
    assert batch.inputs[0].tolist()[2:] == [PAD] * 3
    assert data.spec.output_size == 5
    assert data.splits() == {"train": 2, "validation": 2}


def test_words_alone_are_dropped(tmp_path: Path) -> None:
    data = data_of(tmp_path, BRACKETS, word_dropout=1e9)
    [batch] = data.batches("train")
    is_word = batch.inputs != PAD
    assert (batch.inputs[is_word] == UNKNOWN).all()
    assert is_word.sum() == 5


def test_a_label_before_a_tab_is_of_the_root(tmp_path: Path) -> None:
    data = data_of(tmp_path, "9\t( ( [MAX 2 ) 9 )\n2\t( [MIN 2 )\n")
    [batch] = data.plain_batches("train")
    assert batch.targets is not None
    assert (batch.targets != IGNORED).sum(1).tolist()[0] == 1
    assert batch.tokens is not None
    assert batch.tokens[0] == ["[MAX", "2", "", "9", ""]


def test_labels_are_mapped_and_others_left_out(tmp_path: Path) -> None:
    text = BRACKETS + "(2 (2 so) (2 so))\n"
    data = data_of(tmp_path, text, label_map={"0": "bad", "1": "bad", "3": "good", "4": "good"})
    [batch] = data.plain_batches("train")
    assert data.splits()["train"] == 2
    assert data.spec.output_size == 2
    assert batch.targets is not None
    assert batch.targets[0].tolist()[:3] == [IGNORED, 1, 1]


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("expressions", "4\t[MAX 2 [MIN 4 7 ] ]\n2\t(MAX 2 (MIN 1 7))\n"),
        (
            "json",
            '{"words":["MAX", "2", "MIN", "4", "7"], "parents": [0, 1, 1, 3, 3], "labels": ["4", 2, "", "", null]}\n',
        ),
    ],
)
def test_inner_nodes_with_words(tmp_path: Path, format: str, text: str) -> None:
    data = data_of(tmp_path, text, format=format)
    [batch] = data.plain_batches("train")
    assert batch.tokens is not None
    assert batch.parents is not None
    assert batch.tokens[0] == ["2", "4", "7", "MIN", "MAX"]
    assert data.spec.output_size == 2
    assert batch.parents[0].tolist() == [4, 3, 3, 4, -1]


def test_dependency_trees(tmp_path: Path) -> None:
    rows = [("dogs", 2, "nsubj"), ("chase", 0, "root"), ("the", 4, "det"), ("cat", 2, "obj")]
    lines = ["# text", "1-2\tdogschase" + "\t_" * 8]
    lines += [f"{k}\t{w}\t_\tX\t_\t_\t{head}\t{label}\t_\t_" for k, (w, head, label) in enumerate(rows, start=1)]
    data = data_of(tmp_path, "\n".join(lines) + "\n\n", format="conllu")
    [batch] = data.plain_batches("train")
    assert batch.tokens == [["dogs", "the", "cat", "chase"]]
    assert batch.parents is not None
    assert batch.parents.tolist() == [[3, 2, 3, -1]]


@pytest.mark.parametrize("tree", ["left", "right", "balanced"])
def test_trees_over_words_replace_the_given_ones(tmp_path: Path, tree: Any) -> None:
    data = data_of(tmp_path, BRACKETS + "3\tIt shines\n", tree=tree)
    [batch] = data.plain_batches("train")
    real = torch.arange(5) < batch.lengths[:, None]
    assert batch.targets is not None
    assert ((batch.targets != IGNORED) & real).sum(1).tolist() == [1, 1, 1]
    read = encode_inputs(data.spec, ["It is bad", "shines"])
    assert read.parents is not None
    assert read.lengths.tolist() == [5, 1]
    assert read.inputs[0, :5].ne(PAD).sum() == 3


def test_predictions_read_trees(tmp_path: Path) -> None:
    data = data_of(tmp_path, BRACKETS, tokenizer="lower_case")
    spec = spec_from_plain(spec_to_plain(data.spec))
    assert spec.trees == "brackets"
    batch = encode_inputs(spec, ["( ( It) ( shines))", "(3 (2 bad) (1 is))"])
    assert batch.tokens == [["it", "shines", ""], ["bad", "is", ""]]
    assert batch.parents is not None
    assert torch.equal(batch.parents, torch.tensor([[2, 2, -1]] * 2))
    with pytest.raises(DataError, match="line 7: 'It' is not in brackets"):
        encode_inputs(spec, ["It shines"], lines=[7])


JSON = '{"words": ["It", "shines", "is"], "parents": [2, 0, 1], "labels": ["a", null, "c"]}'
CONLLU = (
    "1\tIt" + "\t_" * 4 + "\t2\ta\t_\t_\n2\tshines" + "\t_" * 4 + "\t0\tr\t_\t_\n3\tis" + "\t_" * 4 + "\t1\tc\t_\t_\n\n"
)


@pytest.mark.parametrize(
    ("form", "text", "asked"),
    [
        ("json", JSON, ['{"words": ["It", "shines", "is"], "parents": [2, 0, 1]}', JSON]),
        ("conllu", CONLLU, ["(shines (It is))", "(shines(It is))"]),
    ],
)
def test_predictions_read_trees_with_words_at_inner_nodes(tmp_path: Path, form: Any, text: str, asked: list) -> None:
    data = data_of(tmp_path, text, format=form)
    [trained] = data.plain_batches("train")
    spec = spec_from_plain(spec_to_plain(data.spec))
    batch = encode_inputs(spec, asked)
    assert trained.tokens == [["is", "It", "shines"]]
    assert batch.tokens == trained.tokens * 2
    assert trained.parents is not None
    assert batch.parents is not None
    assert batch.parents.tolist() == trained.parents.tolist() * 2
    with pytest.raises(DataError, match=r"line 7: .*(write|expected)"):
        encode_inputs(spec, ["It shines"], lines=[7])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("(3 (2 It) (4 shines))\n(3 (2 It\n", {}, "train.txt:2: 2 brackets are not closed"),
        ("(3 (2 It) ( shines))\n", {}, "train.txt:1: the word 'shines' has no label"),
        ("(3 (2 It) ( (1 so) (2 so)))\n", {}, "train.txt:1: a node has no label"),
        ("(3 (2 It)) (4 shines)\n", {}, "train.txt:1: .* one root"),
        ("[MAX 2 ]\n", {"format": "expressions"}, "train.txt:1: there is no label"),
        ('{"words": ["a", "b"], "parents": [2, 1], "labels": ["x", "y"]}', {"format": "json"}, "train.txt:1: .* cycle"),
        ('{"words": ["a"], "parents": [0, 0], "labels": ["x"]}', {"format": "json"}, "1 words, 2 parents and 1 labels"),
        ('{"words": 3}', {"format": "json"}, "the lists words, parents and labels"),
        ('{"words": ["a", 5], "parents": [2, 0], "labels": ["x", "y"]}', {"format": "json"}, "value 2 of words is 5"),
        ('{"words": ["a"], "parents": [true], "labels": ["x"]}', {"format": "json"}, "value 1 of parents is true"),
        (
            '{"words": ["a"], "parents": [0], "labels": [0.5]}',
            {"format": "json"},
            "value 1 of labels is 0.5: .* number",
        ),
        ("[MAX 1 2 ]", {"format": "expressions"}, "there is no label: write LABEL, a tab character and the expression"),
        ("1\ta" + "\t_" * 4 + "\t0\tr\t_\t_\n2\tb" + "\t_" * 4 + "\t0\tr\t_\t_\n", {"format": "conllu"}, ":1: 2 nodes"),
        ("1\ta" + "\t_" * 4 + "\tx\tr\t_\t_\n", {"format": "conllu"}, "train.txt:1: the head of 'a' is 'x'"),
        ("1\ta" + "\t_" * 4 + "\t2\tr\t_\t_\n2\tb" + "\t_" * 4 + "\t1\tr\t_\t_\n", {"format": "conllu"}, "no node is"),
        ("(1 a)\n(1 b)\n", {}, "every training node has the label '1'"),
        (
            "(1 (0 a) (1 b))\n",
            {"max_length": 2},
            "train.txt:1: the tree has 3 nodes, more than data.max_length=2: raise it$",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        data_of(tmp_path, text, **options)


def test_trees_are_built_over_texts_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tree=left builds trees over texts"):
        TreeFiles(train="x", format="json", tree="left")
