"""The memory ladder: when a task counts as solved, which lengths are tried, and the report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seqzoo.analysis import memory_ladder
from seqzoo.analysis.memory_ladder import LADDER, Attempt, climb, report
from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.errors import ConfigError, TrainingError

COPY, ADDING, RECALL, PARITY = LADDER


def attempt(rung: memory_ladder.Rung, length: int, score: float) -> Attempt:
    return Attempt(rung, length, score, 1.25, "gru", "seqzoo train cell=gru")


@pytest.mark.parametrize(
    ("rung", "length", "blind"),
    [
        # three of eight letters in 11 or 26 steps; the variance of the sum of two uniform numbers
        (COPY, 5, 3 * math.log(8) / 11),
        (COPY, 20, 3 * math.log(8) / 26),
        (ADDING, 50, 1 / 6),
        (RECALL, 4, math.log(4)),
        (PARITY, 20, math.log(2)),
    ],
    ids=lambda value: value.name if isinstance(value, memory_ladder.Rung) else None,
)
def test_the_loss_without_memory(rung: memory_ladder.Rung, length: int, blind: float) -> None:
    assert rung.blind(length) == pytest.approx(blind)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_every_length_has_data_that_reaches_so_far_back(rung: memory_ladder.Rung) -> None:
    for length in (rung.lengths[0], rung.lengths[-1]):
        data = build_data(compose(*memory_ladder.COMMON, *rung.overrides(length)))
        data.load()
        [*_, batch] = data.batches("test")
        longest = int(batch.lengths.max())
        # the first answer of copy and the only one of recall come behind what is remembered
        assert longest == {"copy": length + 6, "adding": length, "recall": 2 * length + 1, "parity": length}[rung.name]
        assert rung.steps(length) <= longest
    assert list(rung.lengths) == sorted(set(rung.lengths))


def test_an_lstm_remembers_longer_than_a_window_of_three_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_ladder, "LADDER", (replace(PARITY, lengths=(20, 24)),))
    short = ["training.steps=150", "backbone.hidden_size=32"]
    found = {cell: list(climb([f"cell={cell}", *short], tmp_path / cell)) for cell in ("lstm", "tdnn")}
    assert [(a.length, a.solved) for a in found["lstm"]] == [(20, True), (24, True)]
    # the climb ends with what is not solved
    assert [(a.length, a.solved) for a in found["tdnn"]] == [(20, False)]
    assert found["tdnn"][0].score < 0.5
    metrics = json.loads((tmp_path / "lstm" / "parity_24" / "metrics.json").read_text())
    assert found["lstm"][1].score == pytest.approx(1 - metrics["test"]["loss_nats"] / math.log(2))
    assert found["lstm"][1].command == metrics["command"]
    assert metrics["updates"] == 150


def test_the_ladder_of_a_reservoir_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_ladder, "LADDER", (replace(RECALL, lengths=(2,)),))
    options = ["cell=echo_state", "training.steps=20", "backbone.hidden_size=16"]
    [one], [same], [other] = (
        list(climb([*options, f"seed={seed}"], tmp_path / name)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one.score == same.score != other.score


def test_a_budget_chooses_the_width(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_ladder, "LADDER", (replace(ADDING, lengths=(10,)),))
    [_] = climb(["cell=elman", "training.steps=1", "budget.parameters=2k", "budget.tolerance=0.05"], tmp_path)
    parameters = json.loads((tmp_path / "adding_10" / "metrics.json").read_text())["parameters"]
    assert parameters == pytest.approx(2_000, rel=0.05)


def test_a_training_that_fails_is_not_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(config: dict, folder: Path) -> None:
        raise TrainingError("the loss is not a finite number")

    monkeypatch.setattr(memory_ladder, "start", start)
    attempts = list(climb(["cell=irnn"], tmp_path))
    assert [(a.rung.name, a.length, a.solved) for a in attempts] == [
        (rung.name, rung.lengths[0], False) for rung in LADDER
    ]
    assert all(math.isnan(a.score) for a in attempts)


def test_the_report_by_hand() -> None:
    attempts = [
        attempt(COPY, 5, 0.98), attempt(COPY, 10, 0.95), attempt(COPY, 20, 0.5), attempt(ADDING, 10, 0.2),
        attempt(RECALL, 2, 0.91), attempt(RECALL, 4, 0.89), attempt(PARITY, 20, 1.0), attempt(PARITY, 40, 1.0),
    ]  # fmt: skip
    width, parity = 55, "computes the parity of 40 bits, trained on half as many"
    assert report(attempts).splitlines() == [
        f"task    steps  score  {'solved'.ljust(width)}  not solved",
        f"copy       13  0.950  {'reproduces 3 symbols after a delay of 10 steps'.ljust(width)}  20 (score 0.500)",
        f"adding      0         {'nothing'.ljust(width)}  10 (score 0.200)",
        f"recall      4  0.910  {'recalls the value of one of 2 keys'.ljust(width)}  4 (score 0.890)",
        f"parity     40  1.000  {parity}  the ladder ends here",
        "",
        "8 trainings, 10 s",
        "gru remembers about 13 steps: it solves two of the four tasks at this lag.",
    ]


def test_the_summary_of_one_solved_task_or_none() -> None:
    failed = [attempt(rung, rung.lengths[0], 0.1) for rung in LADDER]
    assert report(failed).endswith(
        "gru remembers hardly any step: it solves none of the four tasks at the shortest length."
    )
    one = [attempt(ADDING, 10, 0.95), *failed]
    one.sort(key=lambda a: -a.score)
    assert report(one).endswith("gru remembers about 10 steps, but in a single task: adding.")


def test_the_command_prints_and_keeps(command: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_ladder, "LADDER", tuple(replace(rung, lengths=rung.lengths[:1]) for rung in LADDER))
    options = ("cell=gru", "training.steps=2", "backbone.hidden_size=4")
    done = command("ladder", *options, "--to", "kept")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["copy", "adding", "recall", "parity"]
    assert lines[-1] == "wrote kept/ladder.csv; the runs are in the same folder"
    assert lines[-2] == "gru remembers hardly any step: it solves none of the four tasks at the shortest length."
    with (tmp_path / "kept" / "ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["length"], row["solved"]) for row in rows] == [
        ("copy", "5", "no"), ("adding", "10", "no"), ("recall", "2", "no"), ("parity", "20", "no"),
    ]  # fmt: skip
    assert rows[0]["command"].startswith("seqzoo train backbone.hidden_size=64 ")
    assert rows[0]["command"].endswith(" cell=gru training.steps=2 backbone.hidden_size=4")
    assert (tmp_path / "kept" / "copy_5" / "checkpoints" / "best.safetensors").exists()
    assert command("ladder", *options, "--to", "kept").err == (
        "seqzoo: --to is 'kept', which is not empty: choose another folder\n"
    )


def test_mistakes_are_told_in_a_sentence(command: Callable, tmp_path: Path) -> None:
    assert command("ladder", "cell=elmann").err == "seqzoo: there is no cell named 'elmann'. Did you mean 'elman'?\n"
    done = command("ladder", "cell=lstm", "task=tagging")
    assert (done.status, done.err) == (
        2, "seqzoo: task=tagging does not go with a ladder, which has tasks and data of its own\n"
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"training\.steps is 0"):
        next(climb(["training.steps=0"], tmp_path))
