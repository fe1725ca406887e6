"""When a training ends: by its updates, its epochs or its seconds, without planning every epoch first."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import CheckpointError
from seqzoo.runs import lifecycle as runs
from seqzoo.training import session
from seqzoo.training.record.run import format_seconds
from seqzoo.training.session import Position, count_updates, is_over
from seqzoo.training.settings import Training

SMALL = [
    "debug=tiny", "data.train_size=40", "data.validation_size=10", "data.test_size=10", "data.batch_size=10",
    "training.diagnostics=0", "training.examples=0",
]  # fmt: skip


class Counted(DataModule):
    """Epochs of 4, 2, 2, 2, ... batches; counts its calls."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def num_batches(self, split: str, epoch: int = 0) -> int:
        self.asked.append(epoch)
        return 2 if epoch else 4


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.9, "00:00"), (3599.9, "59:59"), (3600, "01:00:00"), (90_000, "25:00:00"), (1_000_000, "277:46:40")],
)
def test_times_above_a_day(seconds: float, shown: str) -> None:
    assert format_seconds(seconds) == shown


def settings(*overrides: str) -> Training:
    return compose("task=tagging", *overrides).training


def test_the_updates_of_a_few_epochs_are_counted_exactly() -> None:
    assert count_updates(Counted(), settings("training.epochs=60", "training.steps=null")) == 4 + 59 * 2
    assert count_updates(Counted(), settings("training.epochs=3", "training.steps=7")) == 7
    accumulated = settings("training.epochs=3", "training.steps=null", "training.accumulate=4")
    assert count_updates(Counted(), accumulated) == 3


def test_the_updates_of_many_epochs_follow_from_the_first_ones() -> None:
    data = Counted()
    total = count_updates(data, settings("training.epochs=1000000000", "training.steps=null"))
    assert total == 22 * 100_000_000
    assert data.asked == list(range(10))


def test_batches_of_a_fixed_size_are_counted_without_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    data = build_data(compose("task=tagging", *SMALL, "data.limit=null"))
    data.load()
    planned = len(list(data.batches("train", 1)))
    monkeypatch.setattr("seqzoo.data.batching.bucketing.bucket", lambda *_: pytest.fail("a plan was made"))
    assert [data.num_batches("train", epoch) for epoch in range(2, 5)] == [planned] * 3
    assert planned == 4


def test_a_training_of_endless_epochs_ends_with_its_seconds(tmp_path: Path) -> None:
    config = compose(
        "task=tagging", *SMALL, "training.steps=null", "training.epochs=1000000000", "budget.seconds=0.05",
        "training.validate_every=100000",
    )  # fmt: skip
    assert runs.start(config, tmp_path / "run")["updates"] >= 1


def test_the_last_epoch_is_whole_where_updates_were_only_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """max_tokens makes the number of batches differ from epoch to epoch."""
    monkeypatch.setattr(session, "COUNTED", 1)
    monkeypatch.setattr(session, "SAMPLED", 1)
    config = compose(
        "task=tagging", *SMALL, "data.train_size=104", "data.batch_size=2", "data.max_tokens=11", "data.limit=null",
        "training.steps=null", "training.epochs=2", "training.validate_every=1000",
    )  # fmt: skip
    data = build_data(config)
    data.load()
    batches = [data.num_batches("train", epoch) for epoch in range(2)]
    assert sum(batches) != count_updates(data, config.training) == 2 * batches[0]
    metrics = runs.start(config, tmp_path / "run")
    assert (metrics["updates"], metrics["epochs"]) == (sum(batches), 2)


@pytest.mark.parametrize(("position", "over"), [
    (Position(epoch=2, batch=3, step=11), False), (Position(epoch=2, batch=4, step=12), True),
    (Position(epoch=3, batch=1, step=13), True), (Position(epoch=1, batch=1, step=20), True),
    (Position(update_seconds=4.9), False), (Position(update_seconds=5.0), True),
])  # fmt: skip
def test_the_first_limit_ends_the_training(position: Position, over: bool) -> None:
    of = settings("training.epochs=3", "training.steps=20")
    assert is_over(position, of, 5.0, batches=4) == over


@pytest.mark.parametrize(
    ("end", "advice"),
    [("training.epochs=2", "training.epochs=4"), ("training.steps=3", "training.steps=6")],
)
def test_a_finished_run_continues_with_the_suggested_limit(end: str, advice: str, tmp_path: Path) -> None:
    both = ["training.epochs=null", "training.steps=null", end]
    runs.start(compose("task=tagging", *SMALL, "data.limit=null", *both), tmp_path / "run")
    with pytest.raises(CheckpointError, match=f"such as {advice}$"):
        runs.resume(tmp_path / "run", [])
    before = runs.read_json(tmp_path / "run" / runs.METRICS)["updates"]
    assert runs.resume(tmp_path / "run", [advice])["updates"] == 2 * before
