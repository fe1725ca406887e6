"""Parts of one's own, one a file in `own_parts/`, none of which touches seqzoo: they train, are evaluated, predict and
are checked from the command line. A new kind of part is a file there, its names in PARTS and, if it has one, its YAML.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from seqzoo.analysis.testing import CHECKS, verdict

FOLDER = Path(__file__).with_name("own_parts")
PARTS = [path.stem for path in sorted(FOLDER.glob("*.py"))]
OWN = ("--config-dir", str(FOLDER / "conf"), f"allow_modules=[{','.join(PARTS)}]")
ALLOW = [argument for part in PARTS for argument in ("--allow-module", part)]
CTC = (
    "task=ctc", "cell=skipping", "backbone.hidden_size=32", "training.epochs=null", "training.steps=80",
    "training.learning_rate=0.01", "training.validate_every=40", "training.threads=1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(FOLDER)
    yield
    for part in PARTS:
        sys.modules.pop(part, None)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_short(part: str) -> None:
    text = (FOLDER / f"{part}.py").read_text()
    assert len(text.splitlines()) < 60


def test_a_cell_a_task_data_and_a_metric_run_together(command: Callable, tmp_path: Path) -> None:
    checked = command("check", *OWN, *CTC)
    assert (checked.status, checked.err) == (0, "")
    assert "unknown: torch cannot run aten." in checked.out or "unknown: a tensor's value is read" in checked.out
    trained = command("train", *OWN, *CTC, "hydra.run.dir=run")
    assert trained.status == 0, trained.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["letter_errors"] < 0.05
    assert metrics["higher_is_better"] == {"letter_errors": False, "exact_match": True}

    refused = command("evaluate", "run")
    assert refused.status == 2
    assert "outside seqzoo: if you trust it, add" in refused.err
    evaluated = json.loads(command("evaluate", "run", *ALLOW).out)
    assert evaluated["letter_errors"] == pytest.approx(metrics["test"]["letter_errors"])
    assert command("predict", "run", "aaabbbccc", *ALLOW).out == "abc\n"
    resumed = command("train", *OWN, "resume=run", "training.steps=130")
    assert resumed.status == 0, resumed.err

    shutil.copytree("run", "copy")
    for flags, reason in {
        ("--score",): "task=ctc does not compute the probability of a given text or answer: predict instead",
        ("--stream",): "task=ctc does not answer before the end of its input: predict instead",
        ("--n-best", "2"): "n_best is 2, but task=ctc has one answer to each text: leave it out",
        ("--explain",): "task=ctc cannot explain its predictions, as a class per text can be: leave it out",
        (
            "--with",
            "copy",
        ): "run and copy cannot answer together: an ensemble averages the probabilities of the next token",
        ("--conll",): "--conll writes a tag for each token, and the run, of task=ctc, has none to give",
    }.items():
        done = command("predict", "run", "aab", *flags, *ALLOW)
        assert (done.status, done.err.startswith(f"seqzoo: {reason}")) == (2, True), done.err


def test_a_constraint_holds_however_answers_are_found(command: Callable) -> None:
    chosen = ("task=transduction", "data=stuttering", "debug=tiny", "hydra.run.dir=run")
    assert command("train", *OWN, *chosen).status == 0
    texts = ["aab", "ccdda", "eb"]
    ours = ["--set", "search.constraints=[no_letter_twice.NoLetterTwice]", "--set", "search.min_length=5"]
    for search in ([], ["--set", "search.beam_size=3"], ["--set", "search.temperature=1.0"]):
        done = command("predict", "run", *texts, *ours, *search, *ALLOW)
        assert (done.status, done.err) == (0, "")
        answers = done.out.splitlines()
        assert len(answers) == 3
        assert all(sorted(answer) == list("abcde") for answer in answers)
    unmet = command("predict", "run", *texts, *ours[:2], "--set", "search.min_length=6", *ALLOW)
    message = "no text satisfies search.min_length=6 and every letter once: loosen it"
    assert unmet.status == 2
    assert unmet.err.splitlines() == [f"seqzoo: line {number}: {message}" for number in (1, 2, 3)]
    refused = command("predict", "run", *texts, *ours, "--allow-module", "stuttering")
    assert (refused.status, refused.err[:78]) == (
        2, "seqzoo: task.search.constraints is 'no_letter_twice.NoLetterTwice', outside se",
    )  # fmt: skip


TAGGING = ("task=tagging", "data.train_size=64", "data.validation_size=8", "data.test_size=8", "training.steps=2")
CONSTRAINED = ("task.search.constraints=[no_letter_twice.NoLetterTwice]", "data=stuttering")


@pytest.mark.parametrize(
    ("chosen", "part", "text"),
    [
        (("learning=spsa", *TAGGING), "spsa.Spsa", "the right play"),
        (CONSTRAINED, "no_letter_twice.NoLetterTwice", "aab"),
        (("encoder=hashed", "backbone=running_mean", *TAGGING), "running_mean.RunningMean", "the right play"),
    ],
)
def test_every_other_part_is_part_of_a_run(
    command: Callable, tmp_path: Path, chosen: tuple[str, ...], part: str, text: str
) -> None:
    checked = command("check", *OWN, *chosen, "debug=tiny")
    assert (checked.status, checked.err, checked.out.splitlines()[-1]) == (0, "", "no mistakes")
    trained = command("train", *OWN, *chosen, "debug=tiny", "hydra.run.dir=run")
    assert trained.status == 0, trained.err
    assert part in (tmp_path / "run" / "config.yaml").read_text()
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    [name] = metrics["higher_is_better"]
    evaluated = command("evaluate", "run", *ALLOW)
    assert json.loads(evaluated.out)[name] == pytest.approx(metrics["test"][name])
    predicted = command("predict", "run", text, *ALLOW)
    assert (predicted.status, predicted.err) == (0, "")
    if part == "no_letter_twice.NoLetterTwice":
        answer = predicted.out.strip()
        assert len(set(answer)) == len(answer)


def test_the_file_that_sets_a_missing_option_is_named(command: Callable, tmp_path: Path) -> None:
    done = command("check", *OWN, "encoder=hashed")
    assert done.status == 2
    assert [line.strip(" -") for line in done.err.splitlines() if "task.decoder" in line] == [
        f"task.decoder.{option} is not set: conf/task/transduction.yaml takes it from encoder.{source}, which "
        f"encoder=hashed does not have; give task.decoder.{option}=..."
        for option, source in (("embedding_size", "embedding_size"), ("embedding_std", "initial_std"))
    ]
    done = command("check", *OWN, "encoder=hashed", "experiment=ptb_small")
    assert "conf/experiment/ptb_small.yaml sets encoder." in done.err
    assert "which encoder=hashed does not have: leave out encoder=hashed or experiment=ptb_small" in done.err
    file = tmp_path / "conf/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nencoder:\n  word_dropout: 0.1\n")
    done = command("check", *OWN, "--config-dir", "conf", "encoder=hashed", "experiment=mine")
    assert f"{file} sets encoder.word_dropout, which encoder=hashed does not have" in done.err


@pytest.mark.parametrize("check", CHECKS)
def test_the_cell_is_held_to_every_check(check: str) -> None:
    from skipping import Skipping

    passed, remark = verdict(CHECKS[check], partial(Skipping, threshold=0.8))
    assert passed, remark
