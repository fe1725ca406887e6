"""task=tree_classification: losses and metrics over nodes and roots, and answers as trees."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import seqzoo
from seqzoo.commands.explain import explain
from seqzoo.commands.predict import predict
from seqzoo.contracts.batch import Batch, Features, Loss, Prediction
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import IGNORED
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.tree_notation import tree_text
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import LabelCodec, TextCodec
from seqzoo.metrics import create_metric
from seqzoo.metrics.of_nodes import OfNodes, RootConfusion
from seqzoo.runs.inside import inside_of
from seqzoo.tasks.tree_classification import TreeClassification, merged_labels

WORDS, LABELS = TextCodec.learn("whitespace", ["it shines is bad"]), LabelCodec(["0", "1", "2"])
SPEC = DataSpec("trees", WORDS.size, LABELS.size, WORDS, LABELS, trees="brackets")


def some_task() -> TreeClassification:
    return TreeClassification(4, SPEC, ["accuracy", "macro_f1"], ["accuracy"])


def some_batch() -> Batch:
    it, shines, is_, bad = WORDS.encode("it shines is bad")
    return Batch(
        torch.tensor([[it, shines, 0, 0, 0], [it, is_, bad, 0, 0]]),
        torch.tensor([3, 5]),
        torch.tensor([[1, IGNORED, 2, 0, 0], [0, 1, 2, IGNORED, 1]]),
        parents=torch.tensor([[2, 2, -1, -1, -1], [4, 3, 3, 4, -1]]),
    )


def test_the_loss_is_of_all_labelled_nodes() -> None:
    scores, batch = torch.randn(2, 5, 3), some_batch()
    loss = some_task().loss(scores, batch)
    rows, nodes, labels = [0, 0, 1, 1, 1, 1], [0, 2, 0, 1, 2, 4], torch.tensor([1, 2, 0, 1, 2, 1])
    torch.testing.assert_close(loss.total, F.cross_entropy(scores[rows, nodes], labels, reduction="sum"))
    assert loss.count == 6


def test_answers_are_trees_in_brackets() -> None:
    task, batch = some_task(), some_batch()
    assert task.references(batch) == ["(2 (1 it) ( shines))", "(1 (0 it) ( (1 is) (2 bad)))"]
    outputs = torch.randn(2, 5, 4)

    class Fixed:
        def scores(self, batch: Batch, features: Features | None = None) -> torch.Tensor:
            return task.head(outputs)

    predictions = task.decode(Fixed(), batch)  # type: ignore[arg-type]
    probabilities = task.head(outputs).softmax(-1)
    best = probabilities.argmax(-1)
    assert predictions[0].answer == f"({best[0, 2]} ({best[0, 0]} it) ({best[0, 1]} shines))"
    assert predictions[1].score == pytest.approx(math.log(probabilities[1, 4].max().item()), rel=1e-5)
    tree, scores, true, classes = task.labelled_trees(Fixed(), batch)[0]  # type: ignore[arg-type]
    assert tree.parents == [2, 2, -1]
    assert (true, classes) == (["1", "", "2"], ["0", "1", "2"])
    assert scores == pytest.approx(probabilities[0, :3].amax(-1).tolist())


def test_metrics_of_roots_and_of_all_labelled_nodes() -> None:
    answers = ["(2 (1 it) (0 shines))", "(0 (0 it) (2 (1 is) (1 bad)))"]
    references = ["(2 (1 it) ( shines))", "(1 (0 it) ( (1 is) (2 bad)))"]
    metrics = {metric.name: metric for metric in some_task().metrics()}
    for metric in metrics.values():
        metric.update(Loss(torch.tensor(0.0), torch.tensor(1)), answers, references)
    assert metrics["accuracy"].compute() == 1 / 2
    assert metrics["macro_f1"].compute() == pytest.approx(1 / 3)
    assert metrics["node_accuracy"].compute() == 4 / 6
    confusion = RootConfusion(["0", "1", "2"])
    confusion.update([Prediction(answer, 0.0) for answer in answers], references)
    assert confusion.counts == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="a tree of 3 nodes cannot be compared with one of 1"):
        OfNodes(create_metric("accuracy"), roots=True).update(
            Loss(torch.tensor(0.0), torch.tensor(1)), answers, ["(1 a)"] * 2
        )


def test_wrong_labels_are_shown_beside_the_right_ones() -> None:
    assert merged_labels("(2 (1 it) (0 shines))", "(2 (0 it) ( shines))") == "(2 (1/0 it) (0 shines))"
    task, batch = some_task(), some_batch()
    answers = [Prediction("(2 (1 it) (0 shines))", 0.0), Prediction("(1 (1 it) (1 (1 is) (2 bad)))", 0.0)]
    assert task.show(batch, answers)[1] == "(1 (1/0 it) (1 (1 is) (2 bad)))"


def test_a_sequence_is_a_tree() -> None:
    task, batch = some_task(), some_batch()
    batch.parents = None
    batch.inputs[:] = WORDS.encode("it")[0]
    batch.targets = torch.ones(2, 5, dtype=torch.long)
    assert task.references(batch) == ["(1 it (1 it (1 it)))", "(1 it (1 it (1 it (1 it (1 it)))))"]


def test_nodes_without_a_word_have_no_input() -> None:
    sizes = ["data.train_size=20", "data.validation_size=5", "data.test_size=5"]
    model, _ = seqzoo.build("task=tree_classification", *sizes)
    batch = next(iter(some_batches()))
    before = model.encode(batch).outputs
    with torch.no_grad():
        model.encoder.embedding.weight[0] += 1
    torch.testing.assert_close(model.encode(batch).outputs, before)


def some_batches() -> list[Batch]:
    inputs = torch.tensor([[2, 3, 0], [4, 0, 0]])
    return [Batch(inputs, torch.tensor([3, 2]), parents=torch.tensor([[2, 2, -1], [1, -1, -1]]))]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees") / "run"
    sizes = ["data.train_size=30", "data.validation_size=5", "data.test_size=5"]
    seqzoo.train("task=tree_classification", "debug=tiny", *sizes, f"hydra.run.dir={folder}")
    return folder


def test_a_run_is_trained_and_predicts(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = seqzoo.load(run_dir)
    [prediction] = loaded.predict(["[MAX 2 [MIN 4 7 ] ]"])
    assert re.fullmatch(r"\(\d MAX \(\d 2\) \(\d MIN \(\d 4\) \(\d 7\)\)\)", str(prediction.answer))
    [tree] = loaded.labelled_trees(["[MAX 2 [MIN 4 7 ] ]"])
    assert tree is not None
    assert tree_text(tree.tree) == prediction.answer
    assert math.log(tree.probabilities[-1]) == pytest.approx(prediction.score)
    capsys.readouterr()
    predict([str(run_dir), "[MAX 2 7 ]", "--tree"])
    _, root, *leaves = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"    \d MAX \(0\.\d\d\)", root)
    assert [line[4:6] for line in leaves] == ["├─", "└─"]
    predict([str(run_dir), "[MAX 2 7 ]", "--tree", "--json"])
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    assert [(node["word"], node["parent"]) for node in nodes] == [("2", 2), ("7", 2), ("MAX", -1)]


def test_the_outputs_at_the_nodes_are_drawn(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = seqzoo.load(run_dir)
    text = "[MAX 2 [MIN 4 7 ] 0 ]"
    inside = loaded.look_inside(text)
    assert inside.layers["layer_1"].read == ["2", "4", "7", "MIN", "0", "MAX"]
    batch = encode_inputs(loaded.spec, [text])
    torch.testing.assert_close(inside.layers["layer_1"].states["output"], loaded.model.encode(batch).outputs[0])
    assert loaded.predict([text])[0].answer == inside.answer
    explain([str(run_dir), text, "--to", str(tmp_path)])
    assert (tmp_path / "layer_1.png").read_bytes().startswith(b"\x89PNG")
    assert f"answer: {inside.answer}" in capsys.readouterr().out


def test_both_directions_over_trees_are_recorded() -> None:
    model, _ = seqzoo.build("task=tree_classification", "backbone.bidirectional=true", "debug=tiny")
    [batch] = some_batches()
    batch = batch.first(1)
    with torch.no_grad():
        layers = inside_of(model.eval(), batch, backwards=False).layers
        outputs = model.encode(batch).outputs[0]
    assert [*layers] == ["layer_1", "layer_1_downwards"]
    torch.testing.assert_close(torch.cat([course.states["output"] for course in layers.values()], 1), outputs)


def test_a_tree_has_no_tags_of_tokens(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "words.conll").write_text("a\tX\n")
    with pytest.raises(ConfigError, match="the run, of task=tree_classification, has none to give"):
        predict([str(run_dir), "--conll", str(tmp_path / "words.conll")])


def test_other_backbones_are_refused_before_data_is_read() -> None:
    with pytest.raises(ConfigError, match="backbone=bidirectional does not support `parents`"):
        seqzoo.train("task=tree_classification", "backbone=bidirectional", "debug=tiny")


def test_a_node_with_more_children_than_places_is_found_before_training(command: Callable, tmp_path: Path) -> None:
    checked = command("check", "task=tree_classification", "cell=nary_tree_lstm", "debug=tiny")
    places = "a node has 3 children, and cell=nary_tree_lstm has places for 2: set cell.children=3"
    assert checked.status == 2
    assert checked.err.startswith(f"seqzoo: data=nested_lists: {places}")
    pairs, wide = "(1 (0 a) (1 b))\n(0 (1 b) (0 a))\n", "(1 (0 a) (1 b) (1 b))\n"
    (tmp_path / "train.txt").write_text(pairs)
    (tmp_path / "validation.txt").write_text(pairs + wide)
    (tmp_path / "pairs.txt").write_text(pairs)
    files = ("data=tree_files", "data.train=train.txt", "data.validation=pairs.txt", "hydra.run.dir=run")
    small = ("task=tree_classification", "debug=tiny", "cell=nary_tree_lstm", "training.steps=1", *files)
    refused = command("train", *small, "data.validation=validation.txt")
    assert refused.status == 2
    assert "validation.txt:3: " + places in refused.err
    assert command("train", *small).status == 0
    predicted = command("predict", "run", pairs.splitlines()[0], wide.strip())
    assert predicted.status != 0
    assert "line 2: a node has 3 children, and the cell has places for 2" in predicted.err
    scored = command("evaluate", "run", "data.validation=validation.txt")
    assert scored.status != 0
    assert "a node has 3 children, and the cell has places for 2" in scored.err
