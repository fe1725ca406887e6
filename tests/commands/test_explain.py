"""A classifier from a training to its report and its explanations."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import seqzoo
from seqzoo.commands import main as cli

SMALL = ("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8", "training.examples=2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sentiment"
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(
            [
                "train",
                "task=classification",
                "task.pooling=attention",
                "training.diagnostics=1",
                "training.profile=2",
                *SMALL,
                f"hydra.run.dir={folder}",
            ]
        )
    return folder


def test_the_report_is_told_by_class_and_drawn(run: Path, command: Callable) -> None:
    report = json.loads((run / "metrics.json").read_text())["report"]
    assert set(report) == {"validation", "test"}
    assert report["test"]["classes"] == ["negative", "positive"]
    assert report["test"]["confusion_axes"] == ["reference", "prediction"]
    assert sum(map(sum, report["test"]["confusion"])) == 8
    assert sum(found["support"] for found in report["test"]["by_class"].values()) == 8
    assert "precision  recall" in (run / "train.log").read_text()
    images = EventAccumulator(str(run)).Reload().Tags()["images"]
    assert "final/confusion_test" in images
    assert "valid/attention_2" in images
    scored = json.loads(command("evaluate", run, "split=test").out)
    assert scored["report"] == report["test"]


def test_a_curve_of_precision_and_recall_is_drawn_for_two_classes(run: Path) -> None:
    [event] = EventAccumulator(str(run)).Reload().Tensors("final/test")
    true, false, *_ = make_ndarray(event.tensor_proto)
    # at the threshold 0 all are called positive
    report = json.loads((run / "metrics.json").read_text())["report"]["test"]["by_class"]
    assert (true[0], false[0]) == (report["positive"]["support"], report["negative"]["support"])


def test_some_updates_are_profiled(run: Path) -> None:
    trace = json.loads((run / "trace.json").read_text())
    assert sum(event.get("name", "").startswith("ProfilerStep#") for event in trace["traceEvents"]) == 2
    assert "Self CPU" in (run / "train.log").read_text()


def test_predict_explains_a_class(run: Path, command: Callable) -> None:
    [line] = command("predict", run, "the film is good", "--explain", "--json").out.splitlines()
    explanation = json.loads(line)["explanation"]
    assert explanation["method"] == "attention"
    assert [word for word, _ in explanation["weights"]] == ["the", "film", "is", "good"]
    assert sum(weight for _, weight in explanation["weights"]) == pytest.approx(1)
    answer, words = command("predict", run, "the film is good", "--explain").out.splitlines()
    assert answer in ("negative", "positive")
    assert words.startswith("    the (0.")
    assert words.endswith("(attention)")


def test_predict_explains_each_class_by_the_words_that_were_given(run: Path, command: Callable) -> None:
    text = "the zebra is <pad>"
    asked = ("predict", run, text, "--n-best", 2, "--explain")
    lines = [json.loads(line) for line in command(*asked, "--json").out.splitlines()]
    assert sorted(line["prediction"] for line in lines) == ["negative", "positive"]
    for line in lines:
        assert [word for word, _ in line["explanation"]["weights"]] == text.split()
    shown = command(*asked).out.splitlines()
    assert [line.split()[::2][:4] for line in shown[1::2]] == [text.split()] * 2


def test_pictures_name_the_words_that_were_given(run: Path) -> None:
    loaded = seqzoo.load(run)
    text = "the zebra is good"
    assert loaded.alignments([text])[0].read == text.split()
    inside = loaded.look_inside(text)
    assert inside.layers["layer_1"].read == text.split()
    assert inside.answer.startswith(f"{text} -> ")


def test_what_cannot_be_explained_is_told(command: Callable, tmp_path: Path) -> None:
    command("train", *SMALL, f"hydra.run.dir={tmp_path / 'sums'}")
    done = command("predict", tmp_path / "sums", "1+2", "--explain")
    assert done.status == 2
    assert "task=transduction" in done.err
