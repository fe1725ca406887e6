"""Baselines for classes: values of a tiny set, scikit-learn's own pipeline, and the command without scikit-learn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

import seqzoo
from seqzoo.baselines import fitting
from seqzoo.baselines.contract import Split
from seqzoo.baselines.majority_class import MajorityClass
from seqzoo.baselines.ngram_classifier import SOLVER, NgramClassifier
from seqzoo.runs.baseline_scores import configured_baselines

TRAIN = [("good film", "pos"), ("a good story", "pos"), ("very good", "pos"), ("bad film", "neg"), ("bad story", "neg")]
ROWS = {
    "train": TRAIN,
    "validation": [("good", "pos"), ("bad", "neg"), ("a good unheardof film", "pos")],
    "test": [("very bad", "neg"), ("good unheardof", "pos"), ("bad bad story", "neg"), ("film", "pos")],
}


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """The options of a data set of three files."""
    for split, rows in ROWS.items():
        table = "".join(f"{text}\t{label}\n" for text, label in rows)
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{table}")
    paths = [f"data.{split}={tmp_path / split}.tsv" for split in ROWS]
    return ["task=classification", "data=classification_files", *paths]


def test_majority(options: list[str]) -> None:
    found = configured_baselines(*options)
    [scores] = fitting.fit_baselines(found.data, found.task, [MajorityClass])
    assert scores.description == "always pos"
    assert scores.scores["validation"]["accuracy"] == pytest.approx(2 / 3)
    assert scores.scores["test"]["accuracy"] == 0.5
    assert scores.scores["test"]["loss_nats"] == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)


def test_ngrams_are_those_of_scikit_learn(options: list[str]) -> None:
    found = configured_baselines(*options)
    splits = {name: Split(found.data, found.task, name) for name in ROWS}
    assert splits["test"].tokens[1] == ["good", "unheardof"], "an unknown word is as it was written"
    baseline = NgramClassifier()
    baseline.fit(splits["train"], splits["validation"])
    assert baseline.description == "words, n = 1, 2, C=1"
    pipeline = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\S+"),
        OneVsRestClassifier(LogisticRegression(C=1, **SOLVER)),
    )
    pipeline.fit(*zip(*ROWS["train"], strict=True))
    texts, labels = zip(*ROWS["test"], strict=True)
    answers = baseline.answer(splits["test"])
    assert answers.answers == list(pipeline.predict(texts))
    right = pipeline.predict_proba(texts)[range(len(labels)), [["neg", "pos"].index(label) for label in labels]]
    assert float(answers.loss.total) == pytest.approx(sum(-math.log(p) for p in right))


def test_words_are_read_as_they_were_written(options: list[str]) -> None:
    """Whatever the vocabulary, the dropout of words and the seed."""
    found = configured_baselines(*options, "data.min_frequency=3", "data.word_dropout=100", "seed=5")
    assert "<unk>" in found.data.spec.inputs.decode(next(iter(found.data.batches("test"))).inputs[0].tolist())
    tokens = {name: Split(found.data, found.task, name).tokens for name in ROWS}
    assert tokens == {name: [text.split() for text, _ in rows] for name, rows in ROWS.items()}


def test_a_marked_target_is_part_of_the_text(options: list[str], tmp_path: Path) -> None:
    for split in ROWS:
        rows = "".join(f"the [[food]] is good\t{label}\n" for label in ("pos", "neg"))
        (tmp_path / f"{split}.tsv").write_text(f"text\tlabel\n{rows}")
    found = configured_baselines(*options, "data.marked=true", "task.pooling=target", "backbone=bidirectional")
    tokens = Split(found.data, found.task, "test").tokens[0]
    assert tokens == ["the", "<target>", "food", "</target>", "is", "good"]


def test_the_command_prints_a_table(options: list[str], command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    done = command("baseline", *options)
    assert done.status == 0
    header, first, last = done.out.splitlines()
    columns = ["validation accuracy", "validation loss_nats", "test accuracy", "test loss_nats", "seconds"]
    assert re.split(r"  +", header) == ["baseline", *columns]
    assert first.startswith("n-grams with logistic regression  ")
    assert last.startswith("majority class  ")
    assert [scores.name for scores in seqzoo.baseline(*options)] == [
        "majority class",
        "n-grams with logistic regression",
    ]
    monkeypatch.setattr(fitting.importlib.util, "find_spec", lambda name: None)
    done = command("baseline", *options)
    assert done.status == 0
    _, row, remark = done.out.splitlines()
    assert row.startswith("majority class  ")
    assert remark.startswith("n-grams with logistic regression needs scikit-learn: ")
    assert remark.endswith("pip install 'seqzoo[baselines]'")


def test_mistakes_are_those_of_train(command: Callable) -> None:
    refused = command("baseline", "task=classification", "data=classification_file")
    assert refused.status == 2
    assert "Did you mean 'classification_files'" in refused.err
