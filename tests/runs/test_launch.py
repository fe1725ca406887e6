"""A sweep that is started again skips finished runs, resumes interrupted ones and retries failed ones."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.pretrained import run_folder
from seqzoo.contracts import disk
from seqzoo.contracts.errors import not_installed, program
from seqzoo.runs import launch
from seqzoo.runs import lifecycle as runs
from seqzoo.runs.launch import job_name, sweep_name
from seqzoo.runs.ledger import Entry, Ledger
from seqzoo.runs.provenance import fingerprint
from seqzoo.training import loop
from seqzoo.training.record.checkpoint import save_weights
from seqzoo.training.record.files import BEST, LAST, read_curves

SMALL = (
    "task=regression", "debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8",
    "training.examples=0",
)  # fmt: skip


def entries(sweep: Path) -> dict[str, dict]:
    """The entries of the ledger, by the folders of the runs."""
    found = [json.loads(path.read_text()) for path in (sweep / "ledger").glob("*.json")]
    return {entry["folder"]: entry for entry in found}


def scores(sweep: Path) -> dict[str, list]:
    metrics = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/metrics.json")}
    return {name: [content[split] for split in ("train", "validation", "test")] for name, content in metrics.items()}


def test_the_same_sweep_again_trains_nothing(command: Callable, tmp_path: Path, monkeypatch) -> None:
    sweep = ("train", "-m", "cell=elman,gru", *SMALL)
    done = command(*sweep)
    assert done.status == 0, done.err
    [folder] = (tmp_path / "runs" / "sweeps").iterdir()
    assert folder.name == sweep_name([*sweep[2:]])
    assert set(scores(folder)) == {"cell=elman", "cell=gru"}
    assert {entry["status"] for entry in entries(folder).values()} == {"done"}
    said = [line for line in done.out.splitlines() if "HYDRA" not in line]
    for line, cell in zip(said, ("elman", "gru"), strict=False):
        score = json.loads((folder / f"cell={cell}" / "metrics.json").read_text())["test"]["mse"]
        assert line.startswith(f"cell={cell}: test mse {score:.4f}, ")
    assert said[3] == "regression, narma10", "a table follows"
    assert len(said) < 20

    started = []
    monkeypatch.setattr(runs, "start", lambda config, folder: started.append(folder.name))
    again = command(*sweep)
    assert again.status == 0, again.err
    assert again.out.count("done before: ") == 2
    assert "2 of 2 jobs are done" in again.out
    assert started == []


def test_more_values_belong_to_the_same_sweep(command: Callable, tmp_path: Path, monkeypatch) -> None:
    command("train", "-m", "seed=choice(0)", *SMALL)
    monkeypatch.setattr(runs, "start", lambda config, folder: folder.mkdir() or {"test": {}, "seconds": 0.0})
    done = command("train", "-m", "seed=range(0,2)", *SMALL)
    assert done.out.count("done before: ") == 1
    [sweep] = (tmp_path / "runs" / "sweeps").iterdir()
    assert {path.name for path in sweep.glob("seed=*")} == {"seed=0", "seed=1"}


def test_a_run_that_was_removed_is_trained_again(command: Callable, tmp_path: Path) -> None:
    sweep = ("train", "-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep")
    command(*sweep)
    before = scores(tmp_path / "sweep")
    (tmp_path / "sweep" / "seed=1").rename(tmp_path / "elsewhere")
    assert command(*sweep).status == 0
    assert scores(tmp_path / "sweep") == before


def test_a_failure_ends_its_job_alone_and_is_tried_again(command: Callable, tmp_path: Path, monkeypatch) -> None:
    """The second of three jobs meets an error that is no mistake of the user."""
    fit = loop.fit

    def fail(session, data, run) -> None:
        if "seed=1" in run.folder.name:
            raise RuntimeError("a bug")
        fit(session, data, run)

    monkeypatch.setattr(runs, "fit", fail)
    sweep = ("train", "-m", "seed=0,1,2", *SMALL, "hydra.sweep.dir=sweep")
    done = command(*sweep)
    assert done.status == 2
    alone = f"train seed=1 {' '.join(SMALL)}"
    assert done.err.endswith(
        "seqzoo: 1 of 3 jobs failed; why, and how to run one alone:\n"
        f"  seed=1: RuntimeError: a bug\n    {program('seqzoo')} {alone}\n"
    )  # fmt: skip
    found = entries(tmp_path / "sweep")
    assert {name: entry["status"] for name, entry in found.items()} == {
        "seed=0": "done", "seed=1": "failed", "seed=2": "done",
    }  # fmt: skip
    assert 'raise RuntimeError("a bug")' in found["seed=1"]["details"]
    assert found["seed=1"]["command"] == f"seqzoo {alone}"

    monkeypatch.setattr(runs, "fit", fit)
    again = command(*sweep)
    assert again.status == 0, again.err
    assert again.out.count("done before: ") == 2
    assert entries(tmp_path / "sweep")["seed=1"] == {
        "status": "done", "folder": "seed=1", "command": f"seqzoo {alone}", "reason": "", "details": "",
    }  # fmt: skip


def test_a_folder_that_is_another_each_time_is_refused(command: Callable) -> None:
    done = command("train", "-m", "seed=0,1", *SMALL, "hydra.sweep.dir=runs/${now:%H-%M-%S}")
    assert (done.status, done.err) == (
        2,
        "seqzoo: hydra.sweep.dir is 'runs/${now:%H-%M-%S}': a sweep that can be started again has a fixed folder\n",
    )


def test_a_stopped_sweep_says_how_to_go_on(command: Callable, tmp_path: Path, monkeypatch) -> None:
    def stop(session, data, run) -> None:
        raise loop.Stopped(signal.SIGINT)

    fit = loop.fit
    monkeypatch.setattr(runs, "fit", stop)
    sweep = ("train", "-m", "seed=0,1", *SMALL, "hydra.sweep.dir=sweep")
    done = command(*sweep)
    assert done.status == 130
    assert done.err.endswith("seqzoo: the sweep is not finished; the same command resumes it\n")
    assert {name: entry["status"] for name, entry in entries(tmp_path / "sweep").items()} == {"seed=0": "running"}
    monkeypatch.setattr(runs, "fit", fit)
    assert command(*sweep).status == 0


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(command: Callable, tmp_path: Path) -> None:
    """SIGKILL in the second of two jobs; together the two starts end with the numbers of one."""
    overrides = [*SMALL, "training.steps=60", "training.save_every=0"]
    arguments = ["train", "-m", "seed=0,1", *overrides, "hydra.sweep.dir=cut"]
    process = subprocess.Popen(
        [sys.executable, "-m", "seqzoo", *arguments],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "cut" / "seed=1" / LAST).exists():
        with suppress(subprocess.TimeoutExpired):  # the core is the training's meanwhile
            process.wait(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert {name: entry["status"] for name, entry in entries(tmp_path / "cut").items()} == {
        "seed=0": "done", "seed=1": "running",
    }  # fmt: skip

    done = command(*arguments)
    assert done.status == 0, done.err
    assert done.out.count("done before: ") == 1
    command("train", "-m", "seed=choice(1)", *overrides, "hydra.sweep.dir=whole")
    assert scores(tmp_path / "cut")["seed=1"] == scores(tmp_path / "whole")["seed=1"]
    cut, whole = (read_curves(tmp_path / name / "seed=1") for name in ("cut", "whole"))
    learned = ("step", "tokens", "train/loss", "valid/loss")
    assert [[point.get(name) for name in learned] for point in cut] == [
        [point.get(name) for name in learned] for point in whole
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "options"),
    [("joblib", ["hydra.launcher.n_jobs=2"]), ("submitit_local", ["hydra.launcher.timeout_min=5"])],
)
def test_processes_side_by_side_give_the_same_numbers(
    launcher: str, options: list[str], in_a_row: Path, tmp_path: Path
) -> None:
    plugin = f"hydra-{launcher.removesuffix('_local')}-launcher"
    if not list(importlib.metadata.distributions(name=plugin)):
        pytest.skip(not_installed(plugin))
    arguments = ["train", "-m", *SIDE_BY_SIDE, f"hydra/launcher={launcher}", *options, "hydra.sweep.dir=sweep"]
    done = subprocess.run(
        [sys.executable, "-m", "seqzoo", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path / "sweep") == scores(in_a_row)
    assert len(scores(in_a_row)) == 2


SIDE_BY_SIDE = ("cell=elman,gru", *SMALL)


@pytest.fixture(scope="module")
def in_a_row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in_a_row")
    launch.launch(["-m"], [*SIDE_BY_SIDE, f"hydra.sweep.dir={folder}"])
    return folder


def test_two_processes_do_not_run_one_job(tmp_path: Path) -> None:
    with Ledger(tmp_path).lock("key") as first, Ledger(tmp_path).lock("key") as second:
        assert (first, second) == (True, False)
        with Ledger(tmp_path).lock("another") as other:
            assert other
    with Ledger(tmp_path).lock("key") as again:
        assert again


def test_parallel_jobs_use_different_gpus(tmp_path: Path, monkeypatch) -> None:
    """With two simulated GPUs: the third job shares the first one, and a job that ends frees its GPU for the next."""
    used = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda number: used.append(number) or nullcontext())
    monkeypatch.setattr(launch, "user_cache", lambda kind: tmp_path / kind)
    with launch.exclusive_gpu():
        with launch.exclusive_gpu(), launch.exclusive_gpu():
            assert used == [0, 1, 0]
        with launch.exclusive_gpu():
            assert used == [0, 1, 0, 1]


def test_a_damaged_entry_counts_as_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("key", Entry("done", "seed=1", "seqzoo train seed=1"))
    assert ledger.read("key") == Entry("done", "seed=1", "seqzoo train seed=1")
    (tmp_path / "ledger" / "key.json").write_text('{"status": "do')
    assert ledger.read("key") is None
    assert ledger.read("other") is None
    (tmp_path / "ledger" / "key.json").write_text('{"state": "done"}')
    assert ledger.read("key") is None


def test_the_entries_of_all_jobs_that_began(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.entries() == []
    entries = [Entry("done", "seed=1", "one"), Entry("failed", "seed=2", "two", "a bug", "line 3")]
    for key, entry in zip("ac", entries, strict=True):
        ledger.write(key, entry)
    (tmp_path / "ledger" / "b.json").touch()
    assert ledger.entries() == entries


def test_names_are_short_and_tell_jobs_apart() -> None:
    assert job_name(["cell=gru", "task=tagging", "training.learning_rate=0.1"], ["cell", "training.learning_rate"]) == (
        "cell=gru,learning_rate=0.1"
    )
    names = {job_name([f"data.train={'a' * 200}/{name}.txt"], ["data.train"]) for name in ("a b", "a_b", "a/b")}
    assert len(names) == 3
    assert all(len(name) <= 80 and "/" not in name and " " not in name for name in names)


def test_a_sweep_is_named_after_what_is_fixed_and_what_is_varied() -> None:
    name = sweep_name(["cell=gru,lstm", "seed=0,1", "task=tagging", "training.steps=9", "hydra.launcher=basic"])
    assert name.startswith("tagging_by_cell_seed_")
    assert name == sweep_name(["task=tagging", "seed=range(0,9)", "training.steps=9", "cell=glob(l*)"])
    assert name != sweep_name(["cell=gru,lstm", "seed=0,1", "task=tagging", "training.steps=8"])


@pytest.mark.parametrize(
    ("override", "same"),
    [("training.save_every=7", True), ("training.device=cpu", True), ("seed=1", False), ("budget.seconds=3", False),
     ("cell=gru", False), ("training.steps=3", False)],
)  # fmt: skip
def test_the_key_is_what_can_change_a_score(override: str, same: bool) -> None:
    base = fingerprint(compose("task=tagging"))
    assert (fingerprint(compose("task=tagging", override)) == base) is same


def test_the_key_follows_the_weights_that_a_training_starts_from(tmp_path: Path) -> None:
    """And not the name of their folder."""
    run = shutil.copytree(run_folder("pretrained:tiny_shakespeare_gru"), tmp_path / "run")
    inits = ("pretrained:tiny_shakespeare_gru", run)
    keys = [fingerprint(compose("task=language_modeling", f"init={init}")) for init in inits]
    assert keys[0] == keys[1] != fingerprint(compose("task=language_modeling"))
    model = seqzoo.load(run).model
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save_weights(run / BEST, model, {})
    assert fingerprint(compose("task=language_modeling", f"init={run}")) != keys[0]


@pytest.mark.parametrize(
    ("folder", "why"),
    [("${nowhere}", "Interpolation key 'nowhere' not found"), ("file/run", "file/run: Not a directory")],
)
def test_an_impossible_run_directory_is_a_mistake(folder: str, why: str, command: Callable) -> None:
    Path("file").touch()
    done = command("train", *SMALL, f"hydra.run.dir={folder}")
    assert done.status == 2
    assert done.err.startswith(f"seqzoo: hydra.run.dir: {why}")


def test_the_run_directory_is_not_part_of_the_command(command: Callable, tmp_path: Path) -> None:
    done = command("train", "debug=tiny", "task=tagging", "training.steps=1", "hydra.run.dir=here")
    assert done.status == 0, done.err
    metrics = json.loads((tmp_path / "here" / "metrics.json").read_text())
    assert metrics["command"] == "seqzoo train debug=tiny task=tagging training.steps=1"


def test_a_launcher_whose_package_is_missing_is_told_before_anything_runs(
    command: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda name: [])
    done = command("train", "-m", "hydra/launcher=submitit_slurm", "seed=0,1", *SMALL)
    told = f"seqzoo: hydra/launcher=submitit_slurm needs {not_installed('hydra-submitit-launcher')}\n"
    assert (done.status, done.err) == (2, told)
    assert not list(tmp_path.iterdir())


def test_a_run_that_never_began_leaves_no_folder(command: Callable, tmp_path: Path) -> None:
    never = ("train", "task=tagging", "data=tagging_files", "data.train=nowhere.txt")
    assert command(*never).status == 2
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    assert command(*never, "hydra.run.dir=mine").status == 2
    assert (tmp_path / "mine/file").exists()


def test_a_read_only_disk_is_reported(command: Callable, tmp_path: Path, monkeypatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(disk, "write_whole", refuse)
    done = command("train", *SMALL)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "config.yaml could not be written (Read-only file system)" in done.err
    assert not list(tmp_path.iterdir())
