"""Runs that earlier versions made (`scripts/make_stored_runs.py`) are loaded, continued and compared as then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import seqzoo
from seqzoo.analysis.finished_runs import read_runs
from seqzoo.commands.main import main
from seqzoo.contracts.errors import CheckpointError
from seqzoo.runs.lifecycle import evaluate_run, resume
from seqzoo.training.record.checkpoint import load_training, save_training
from seqzoo.training.record.files import CONFIG, LAST

STORED = Path(__file__).parent / "stored"
EXPECTED: dict[str, dict[str, Any]] = json.loads((STORED / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(params=EXPECTED)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / name, tmp_path / name))


def test_scores_and_predictions_are_those_of_then(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, scores = evaluate_run(run, "test", {}, [])
    assert {metric: scores[metric] for metric in EXPECTED[name]["scores"]["test"]} == pytest.approx(
        EXPECTED[name]["scores"]["test"], rel=1e-5
    )
    main(["predict", str(run), EXPECTED[name]["input"]])
    assert capsys.readouterr().out == EXPECTED[name]["prediction"]


def test_it_is_resumed_where_it_stopped(name: str, run: Path) -> None:
    metrics = resume(run, ["training.steps=12"])
    for split, scores in EXPECTED[name]["resumed"].items():
        assert metrics[split] == pytest.approx(scores, rel=1e-5)


def test_a_rule_without_its_name_is_refused(tmp_path: Path) -> None:
    run = Path(shutil.copytree(STORED / "tagging", tmp_path / "run"))
    with (run / CONFIG).open("a") as file:
        file.write("learning: {class: BackpropagationThroughTime, carry_state: false}\n")
    with pytest.raises(
        CheckpointError, match=r"config.yaml is not a configuration of seqzoo: its choices.learning is None"
    ):
        resume(run, ["training.steps=12"])


def test_sums_that_require_gradients_are_continued(tmp_path: Path) -> None:
    run = Path(shutil.copytree(STORED / "tagging", tmp_path / "run"))
    content = load_training(run / LAST)
    save_training(run / LAST, {**content, "running": [part.requires_grad_() for part in content["running"]]})
    assert resume(run, ["training.steps=12"])["test"] == pytest.approx(EXPECTED["tagging"]["resumed"]["test"], rel=1e-5)


def test_texts_and_overrides_are_lists_of_texts() -> None:
    with pytest.raises(TypeError, match=r"texts is 'the cat': it must be a list of texts"):
        seqzoo.load(STORED / "tagging").predict("the cat")
    with pytest.raises(TypeError, match=r"an override is \['task=tagging'\]: it must be a text"):
        seqzoo.train(["task=tagging"])


def test_they_are_compared() -> None:
    runs, problems = read_runs([str(STORED)])
    assert (len(runs), problems) == (len(EXPECTED), [])
