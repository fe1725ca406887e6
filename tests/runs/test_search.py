"""Hyperparameter search with simulated trainings: suggestions, pruning and resumption."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seqzoo.contracts.errors import ConfigError, not_installed, program
from seqzoo.contracts.locks import lock
from seqzoo.runs import hyperparameter_search as module
from seqzoo.runs.hyperparameter_search import Goal, goal_of, search, spaces
from seqzoo.training.record.files import CURVES, METRICS

optuna = pytest.importorskip("optuna", reason=not_installed("optuna"))
OPTIONS = ["task=tagging", "cell=gru,lstm", "training.learning_rate=tag(log,interval(1e-4,1e-1))"]


class Made:
    """Simulated trainings with curves of three points, the last of which is `score`; jobs in `slow` are observed while
    they run, and one in `cut` is interrupted.
    """

    def __init__(self, score: Callable[[list[str]], float]):
        self.score, self.slow, self.cut = score, set(), set()
        self.jobs, self.signals = [], []

    def __call__(self, job: list[str], run: Path) -> Made:
        run.mkdir(exist_ok=True)
        self.run, self.looks = run, 0
        self.jobs.append((run.name, job))
        score = self.score(job)
        points = [{"step": 10 * n, "valid/accuracy": score * n / 3} for n in (1, 2, 3)]
        (run / CURVES).write_text("".join(json.dumps(point) + "\n" for point in points))
        (run / METRICS).write_text("{}")
        return self

    def wait(self, timeout: float | None = None) -> None:
        self.looks += 1
        if self.run.name in self.cut:
            self.cut.clear()
            (self.run / METRICS).unlink()
            raise KeyboardInterrupt
        if self.run.name in self.slow and self.looks == 1:
            raise subprocess.TimeoutExpired("seqzoo", timeout)

    def send_signal(self, number: int) -> None:
        self.signals.append((self.run.name, number))
        (self.run / METRICS).unlink()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    trainings = Made(lambda job: 0.9 if "cell=lstm" in job else 0.3)
    monkeypatch.setattr(module, "start", trainings)
    monkeypatch.setattr(module, "goal_of", lambda fixed, found: Goal("accuracy", "valid/accuracy", True))
    return trainings


def test_the_same_command_resumes_a_search(made: Made, tmp_path: Path, capsys) -> None:
    search(OPTIONS, 3, tmp_path)
    first = [job for _, job in made.jobs]
    assert [name for name, _ in made.jobs] == ["trial=0", "trial=1", "trial=2"]
    for task, cell, rate in first:
        assert (task, cell in ("cell=gru", "cell=lstm")) == ("task=tagging", True)
        assert 1e-4 <= float(rate.removeprefix("training.learning_rate=")) <= 1e-1
    search(OPTIONS, 3, tmp_path)
    search(OPTIONS, 5, tmp_path)
    assert [name for name, _ in made.jobs[3:]] == ["trial=3", "trial=4"]
    told = capsys.readouterr().out
    best = next(job for _, job in made.jobs if "cell=lstm" in job)
    assert told.endswith(f"accuracy 0.9000\n\n{program('seqzoo')} train {' '.join(best)}\n")
    search(OPTIONS, 3, tmp_path / "again")
    assert [job for _, job in made.jobs[5:]] == first, "the same seed asks the same"


def test_trials_below_the_median_are_pruned(made: Made, tmp_path: Path) -> None:
    scores = iter([0.5, 0.6, 0.7, 0.8, 0.1, 0.9])
    made.score = lambda job: next(scores)
    made.slow = {"trial=4", "trial=5"}
    search(OPTIONS, 6, tmp_path)
    assert made.signals == [("trial=4", module.signal.SIGTERM)]


def test_an_interrupted_trial_is_resumed_first(made: Made, tmp_path: Path) -> None:
    made.cut = {"trial=1"}
    with pytest.raises(KeyboardInterrupt):
        search(OPTIONS, 3, tmp_path)
    search(OPTIONS, 3, tmp_path)
    assert [name for name, _ in made.jobs] == ["trial=0", "trial=1", "trial=1", "trial=2"]
    assert made.jobs[1] == made.jobs[2]


def test_numbers_between_two_ends() -> None:
    fixed, [width, rate, cell] = spaces(
        ["seed=1", "backbone.hidden_size=int(interval(8,9))", "training.clip_norm=interval(0.5,2)", "cell=glob(*gru)"]
    )
    assert fixed == ["seed=1"]
    assert width.values == ["backbone.hidden_size=8", "backbone.hidden_size=9"]
    assert width.ask(optuna.trial.FixedTrial({"backbone.hidden_size": 9})) == "backbone.hidden_size=9"
    assert rate.ask(optuna.trial.FixedTrial({"training.clip_norm": 1.23456})) == "training.clip_norm=1.235"
    assert "cell=min_gru" in cell.values


def test_mistakes_are_told_before_the_first_trial(tmp_path: Path) -> None:
    for options, mistake in (
        (["task=tagging"], "there is nothing to search"),
        (["cell=gru,lsmt"], "there is no cell named 'lsmt'"),
        (["training.learning_rate=interval(1,-1)"], r"training.learning_rate is -1(\.0)?: it must be at least 0"),
    ):
        with pytest.raises(ConfigError, match=mistake):
            search(options, 1, tmp_path / "search")
    assert not (tmp_path / "search").exists()


def test_the_goal_is_the_metric_that_picks_checkpoints() -> None:
    assert goal_of(*spaces(["task=tagging", "seed=0,1"])) == Goal("accuracy", "valid/accuracy", True)


@pytest.mark.slow
def test_trainings_of_its_own(command: Callable, tmp_path: Path) -> None:
    small = ("data.train_size=64", "data.validation_size=8", "data.test_size=8")
    done = command("search", "task=tagging", "debug=tiny", *small, "seed=0,1", "--trials", "2", "--to", "found")
    assert done.status == 0, done.err
    assert "best of 2: trial " in done.out
    assert all((tmp_path / "found" / f"trial={number}" / METRICS).exists() for number in (0, 1))


def test_a_trial_that_another_process_ended_is_not_run_again(made: Made, tmp_path: Path, monkeypatch) -> None:
    """It runs when it is listed, and has ended when its lock is had."""
    made.cut = {"trial=1"}
    with pytest.raises(KeyboardInterrupt):
        search(OPTIONS, 3, tmp_path)
    ended = []

    @contextmanager
    def ends_first(path: Path, wait: bool = False) -> Iterator[bool]:
        if path.name == ".trial=1.lock" and not ended:
            ended.append(path)
            search(OPTIONS, 2, tmp_path)  # the other process
        with lock(path, wait) as free:
            yield free

    monkeypatch.setattr(module, "lock", ends_first)
    search(OPTIONS, 3, tmp_path)
    assert [name for name, _ in made.jobs] == ["trial=0", "trial=1", "trial=1", "trial=2"]


@pytest.mark.parametrize(("higher_is_better", "best"), [(True, 0.9), (False, 0.4)])
def test_a_trial_is_as_good_as_its_best_validation(higher_is_better: bool, best: float, tmp_path: Path) -> None:
    (tmp_path / "trial=0").mkdir()
    points = [{"step": step, "valid/accuracy": score} for step, score in ((1, 0.4), (2, 0.9), (3, 0.7))]
    (tmp_path / "trial=0" / CURVES).write_text("".join(json.dumps(point) + "\n" for point in points))
    (tmp_path / "trial=0" / METRICS).write_text("{}")
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
    module._run(study, study.ask(), ["cell=gru"], tmp_path, Goal("accuracy", "valid/accuracy", higher_is_better))
    assert study.best_value == best
