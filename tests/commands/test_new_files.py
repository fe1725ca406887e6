"""New files of the user with a finished run: their scores, and predictions that keep to their lines and words."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from seqzoo.commands import main as cli


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that holds out the validation and the test split of one table, of which it reads a part."""
    folder = tmp_path_factory.mktemp("own")
    rows = "".join(f"the film number {i % 7} was {'good' if i % 2 else 'bad'},{i % 2}\n" for i in range(60))
    (folder / "train.csv").write_text(f"text,label\n{rows}")
    options = ["task=classification", "data=classification_files", f"data.train={folder / 'train.csv'}", "debug=tiny"]
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main(["train", *options, "recipe=none", "data.folds=5", f"hydra.run.dir={folder / 'run'}"])
    return folder / "run"


def test_a_new_file_is_scored(run: Path, tmp_path: Path, command: Callable) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    new = tmp_path / "train.csv"  # of the same name as a file of the run
    new.write_text("text,label\n" + "the film was good,1\nunheard words,0\n" * 20)
    done = command("evaluate", run, f"data.test={new}")
    scores = json.loads(done.out)
    assert scores["split"] == "test"
    assert 0 <= scores["accuracy"] <= 1
    assert f"scores of {new} as test split: 40 examples" in done.err
    assert "changed" not in done.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    done = command("evaluate", run, f"data.validation={new}")
    assert json.loads(done.out)["split"] == "validation"
    assert json.loads(done.out)["accuracy"] == scores["accuracy"]


def test_a_new_file_that_cannot_be_scored(run: Path, tmp_path: Path, command: Callable) -> None:
    new = tmp_path / "new.csv"
    new.write_text("text,label\na film,2\n")
    done = command("evaluate", run, f"data.test={new}")
    assert done.status
    assert "new.csv:2: " in done.err
    assert "'2'" in done.err
    done = command("evaluate", run, f"data.test_source={new}")
    assert "no option data.test_source: give data.test or data.validation" in done.err


def test_one_line_of_output_per_line_of_input(run: Path, command: Callable) -> None:
    done = command("predict", run, "--json", stdin="the film was good\n\nunheard nonsense film\n")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["input"] for line in lines] == ["the film was good", "", "unheard nonsense film"]
    assert lines[1]["prediction"] == ""
    assert "2 of 7 tokens are not in the vocabulary of the run" in done.err
    assert "vocabulary" not in command("predict", run, "the film was good").err
    assert "unheard" in command("predict", run, "--explain", "unheard nonsense film").out


def test_a_missing_file_is_named_and_the_others_are_answered(command: Callable, tmp_path: Path) -> None:
    chosen = ("task=captioning", "debug=tiny", "training.steps=1", "hydra.run.dir=run")
    assert command("train", *chosen).status == 0
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64), "white").save(tmp_path / name)
    whole = command("predict", "run", "a.png", "b.png", "--json").out.splitlines()
    done = command("predict", "run", "a.png", "no.png", "b.png", "--json")
    assert (done.status, done.err) == (2, "seqzoo: there is no picture no.png\n")
    first, lost, last = done.out.splitlines()
    assert json.loads(lost) == {"input": "no.png", "error": "there is no picture no.png"}
    answers = [[json.loads(line)["prediction"] for line in lines] for lines in ([first, last], whole)]
    assert answers[0] == answers[1]
