"""Several processes train as one does: gradients, carried states, scores, checkpoints, and what happens if one ends."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqzoo.configuration.building import build_model
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import flatten
from seqzoo.runs import lifecycle
from seqzoo.training.processes import ALONE, Division, Processes, misfits
from seqzoo.training.record.checkpoint import load_training
from seqzoo.training.record.files import CURVES, LAST, METRICS, read_curves
from tests.conftest import REPOSITORY
from tests.training.sharing import CASES, RUN, loaded, outcome

EQUAL = 1e-9


def free_ports(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which three processes, and then two, have written what `sharing` says."""
    folder = tmp_path_factory.mktemp("shared")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.sharing", str(folder), *free_ports(3)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    outputs = [path.read_text()[-3000:] for path in sorted(folder.glob("output_*.txt"))]
    assert done.stdout == "0 -9 0\n", "\n".join([done.stderr, *outputs])
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    lifecycle.start(compose(*RUN), folder)
    return folder


def assert_close(value: torch.Tensor, other: torch.Tensor, what: str) -> None:
    error = float((value - other).abs().max() / other.abs().max().clamp(min=1e-3)) if other.numel() else 0.0
    assert value.shape == other.shape, what
    assert error < EQUAL, f"{what}: {error}"


@pytest.mark.parametrize("name", CASES)
def test_gradients_states_and_scores_are_those_of_one_process(name: str, shared: Path) -> None:
    torch.manual_seed(0)
    expected = outcome(*loaded(name), ALONE)
    assert len(expected["gradients"]) > 1
    for count in (2, 3):
        cases = [torch.load(shared / f"cases_{count}_{rank}.pt") for rank in range(count)]
        for rank, found in enumerate(case[name] for case in cases):
            what = f"process {rank} of {count}"
            assert found["steps"] == expected["steps"], what
            assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6), what
            assert found["scores"] == pytest.approx(expected["scores"], rel=1e-9), what
            for theirs, ours in zip(found["gradients"], expected["gradients"], strict=True):
                assert theirs.keys() == ours.keys(), what
                for weight in ours:
                    assert_close(theirs[weight], ours[weight], f"{what}: {weight}")
            assert (found["state"] is None) == (expected["state"] is None), what
            for theirs, ours in zip(*(flatten(case["state"] or ()) for case in (found, expected)), strict=True):
                assert_close(theirs, ours, f"{what}: state")
        for of_ranks in zip(*(case[name]["own steps"] for case in cases), strict=True):
            assert sum(of_ranks) <= expected["steps"]


def test_rows_are_divided_by_their_steps() -> None:
    lengths = torch.tensor([9, 1, 1, 1, 5, 1, 1, 2, 2, 1])
    batch = Batch(torch.arange(90).view(10, 9), lengths)
    parts = [Division(Processes(rank, 3), stateful=False)(batch) for rank in range(3)]
    assert [int(part.lengths.sum()) for part in parts] == [9, 8, 7]
    assert sorted(row for part in parts for row in part.part.rows) == list(range(10))
    for part in parts:
        assert torch.equal(part.inputs, batch.inputs[part.part.rows])
        assert int(part.whole[0]) == 24
        assert part.whole[1] == 10


def test_a_row_stays_with_the_process_that_has_its_state() -> None:
    divisions = [Division(Processes(rank, 2), stateful=True) for rank in range(2)]
    first = Batch(torch.zeros(4, 3), torch.tensor([3, 3, 3, 3]), continues=torch.full((4,), -1))
    assert [division(first).part.rows for division in divisions] == [[0, 2], [1, 3]]
    second = Batch(torch.zeros(4, 3), torch.tensor([1, 3, 3, 2]), continues=torch.tensor([3, 0, -1, 1]))
    parts = [division(second) for division in divisions]
    assert [part.part.rows for part in parts] == [[1, 2], [0, 3]]
    assert [part.continues.tolist() for part in parts] == [[0, -1], [1, 0]]


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / METRICS).read_text())


@pytest.mark.parametrize("count", [2, 3])
def test_one_process_writes_and_scores_are_those_of_one(count: int, shared: Path, tmp_path: Path) -> None:
    lifecycle.start(compose(*RUN, "training.steps=8"), tmp_path / "one")
    one, several = tmp_path / "one", shared / str(count)
    assert {path.name for path in several.iterdir() if "tfevents" not in path.name} == {
        path.name for path in one.iterdir() if "tfevents" not in path.name
    }
    assert len([*several.glob("*tfevents*")]) == 1
    for split in ("train", "validation", "test"):
        assert metrics(several)[split] == pytest.approx(metrics(one)[split], rel=1e-9)
    assert (metrics(several)["processes"], metrics(several)["updates"]) == (count, 8)
    assert "processes" not in metrics(one)
    points = [[(point["step"], point["tokens"]) for point in read_curves(run)] for run in (one, several)]
    assert points[0] == points[1]
    log = (several / "train.log").read_text()
    assert log.count("update 8/8") == 1
    assert f"1 thread in each of {count} processes" in log
    assert "tokens per second" in log, "processes also wait for each other"


def test_a_checkpoint_does_not_depend_on_the_number_of_processes(shared: Path, whole: Path) -> None:
    """Three processes up to update 8, two up to 16, which a signal to one of them ended, then one."""
    stopped = load_training(shared / "changing" / LAST)
    assert (stopped["position"]["step"], stopped["position"]["finished"]) == (16, False)
    assert len(flatten(stopped["state"])[0]) == 5
    lifecycle.resume(shared / "changing", [])
    for name, weight in load_training(whole / LAST)["model"].items():
        assert_close(load_training(shared / "changing" / LAST)["model"][name], weight, name)
    for split in ("validation", "test"):
        assert metrics(shared / "changing")[split] == pytest.approx(metrics(whole)[split], rel=1e-9)
    steps = [point["step"] for point in read_curves(shared / "changing") if "train/loss" in point]
    assert steps == list(range(2, 25, 2)), f"{CURVES} has every point once"


@pytest.mark.slow
def test_the_run_of_a_killed_process_is_resumed(shared: Path, whole: Path) -> None:
    assert "another process of this training ended" in (shared / "message.txt").read_text()
    assert load_training(shared / "killed" / LAST)["position"]["step"] == 6
    lifecycle.resume(shared / "killed", [])
    for name, weight in load_training(whole / LAST)["model"].items():
        assert_close(load_training(shared / "killed" / LAST)["model"][name], weight, name)


def test_what_needs_a_whole_batch_is_refused() -> None:
    rtrl = compose("task=tagging", "learning=rtrl", "cell=elman")
    spec = DataSpec("tagging", 5, 3)
    with torch.device("meta"):
        model = build_model(rtrl, spec)
    rule = lifecycle.build_rule(rtrl)
    assert misfits(ALONE, model, rule, rtrl.choices, "cpu") == []
    [reason] = misfits(Processes(0, 4), model, rule, rtrl.choices, "cpu")
    assert reason.startswith("learning=rtrl needs a whole batch, and torchrun started 4 processes")
    model.encoder.extra = torch.nn.BatchNorm1d(3)
    bptt = lifecycle.build_rule(compose("task=tagging"))
    [reason] = misfits(Processes(0, 2), model, bptt, rtrl.choices, "cpu")
    assert reason.startswith("encoder.extra normalises over a whole batch")


@pytest.mark.parametrize("arguments", [["train", "-m", "seed=0,1"], ["evaluate", "RUN"], ["train", "--help"]], ids=str)
def test_other_commands_refuse_several_processes(arguments: list[str], command, monkeypatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    done = command(*arguments)
    assert done.status == 2
    assert "torchrun started 2 processes, which share the training of one run: start `seqzoo" in done.err
    monkeypatch.setenv("RANK", "1")
    assert command(*arguments)[1:] == ("", ""), "the first process reports it"


def test_several_processes_refuse_one_gpu() -> None:
    config = compose("task=tagging")
    with torch.device("meta"):
        model = build_model(config, DataSpec("tagging", 5, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_WORLD_SIZE", "2")
        [reason] = misfits(Processes(0, 2), model, lifecycle.build_rule(config), config.choices, "cuda:1")
    assert reason.startswith("training.device is cuda:1, and each process has a GPU of its own")


def test_an_error_of_all_processes_is_raised_once(shared: Path) -> None:
    errors = [(shared / f"error_{rank}.txt").read_text() for rank in range(3)]
    assert errors == ["DataError there is no such file", "SystemExit 0", "SystemExit 0"]


@pytest.mark.slow
def test_torchrun_continues_a_run_when_a_process_is_killed(whole: Path, tmp_path: Path) -> None:
    """Ten times, one of the two is killed at a random moment; the run ends as an undisturbed one of one process."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    chance = random.Random(0)
    for attempt in range(10):
        folder, victim = tmp_path / str(attempt), [str(chance.randrange(2)), str(chance.uniform(0.0, 1.0))]
        command = [*torchrun, "-m", "tests.training.sharing", "killed", *victim, f"hydra.run.dir={folder}"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "exitcode: -9" in done.stderr
        assert (folder / "train.log").read_text().count("folder ") == 3, "two beginnings and one end"
        assert {path.name for path in tmp_path.iterdir()} == {str(number) for number in range(attempt + 1)}
        for name, weight in load_training(whole / LAST)["model"].items():
            assert_close(load_training(folder / LAST)["model"][name], weight, f"attempt {attempt}: {name}")
        assert metrics(folder)["test"] == pytest.approx(metrics(whole)["test"], rel=1e-9)
