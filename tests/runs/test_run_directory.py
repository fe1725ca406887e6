"""Run directories from untrusted sources: no code is run, sizes are limited, and nothing outside is written."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqzoo.analysis.finished_runs import read_run
from seqzoo.commands import main as cli
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.stored import stored
from seqzoo.contracts import disk
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.contracts.locks import lock
from seqzoo.runs import lifecycle as runs
from seqzoo.training.interrupt import StopSignals
from seqzoo.training.record.checkpoint import load_training, save_training
from seqzoo.training.record.files import (
    BEST,
    CONFIG,
    CURVES,
    LAST,
    LOCK,
    LOG,
    METRICS,
    SPEC,
    TOKENS,
    read_config,
    read_curves,
    read_json,
)
from tests.conftest import Done

OPTIONS = ["data.train_size=40", "data.validation_size=10", "data.test_size=10", "debug=tiny", "training.steps=4"]
SECRET = "not seqzoo's"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    runs.start(compose("task=tagging", *OPTIONS), folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def change_config(run: Path, **sections: Any) -> None:
    config = yaml.safe_load((run / CONFIG).read_text())
    (run / CONFIG).write_text(yaml.safe_dump({**config, **sections}))


@pytest.mark.parametrize("budget", [{}, {"parameters": "20k"}], ids=["no_budget", "budget"])
@pytest.mark.parametrize("form", ["hydra.searchpath=[{}]", "+hydra.searchpath=[{}]", "hydra/launcher=[{}]"])
def test_what_a_run_was_started_with_is_not_composed_again(
    form: str, budget: dict, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "payload.py").write_text("raise SystemExit('the payload ran')")
    (run / "__init__.py").touch()
    change_config(run, overrides=[form.format("pkg://run.payload"), "task=tagging", *OPTIONS], budget=budget)
    monkeypatch.syspath_prepend(run.parent)
    assert runs.resume(run, ["training.steps=6"])["updates"] == 6
    assert "run.payload" not in sys.modules


@pytest.mark.parametrize(
    "override",
    ["hydra.searchpath=[pkg://x]", "+hydra.x=1",
     "~training.steps", "hydra/launcher=x", "cell@x=gru", "training.steps=1,2"],
)  # fmt: skip
def test_a_continued_run_takes_values_alone(override: str, run: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be combined with resume=|is not a change"):
        runs.resume(run, [override])


@pytest.mark.parametrize("name", [TOKENS, CURVES, LOG, METRICS, SPEC, LAST, CONFIG, LOCK, "checkpoints"])
def test_nothing_is_written_through_a_link(name: str, run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    if name == "checkpoints":
        shutil.move(run / name, outside)
    else:
        outside.write_bytes((run / name).read_bytes())
        (run / name).unlink()
    (run / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()}
    with pytest.raises(CheckpointError, match=rf"{name} .*it is a link"):
        runs.resume(run, ["training.steps=6"])
    assert {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()} == before


def test_nothing_is_added_to_a_file_with_a_name_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(SECRET)
    (tmp_path / "log").hardlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="second name"):
        disk.append(tmp_path / "log", "more")
    with pytest.raises(OSError, match="second name"), lock(tmp_path / "log"):
        pass
    disk.write_whole(tmp_path / "log", lambda file: file.write(b"more"))
    assert (tmp_path / "outside").read_text() == SECRET
    assert (tmp_path / "log").read_text() == "more"


def test_temporary_names_cannot_be_foretold(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        disk.write_whole(tmp_path / "file", lambda file: names.append(Path(file.name).name))
    assert len(set(names)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_file_that_cannot_be_made_is_told_by_the_name_that_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: int) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        disk.write_text(tmp_path / "page.html", "content")
    assert caught.value.filename == str(tmp_path / "page.html")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
@pytest.mark.parametrize("name", [METRICS, CONFIG, SPEC, BEST])
def test_only_files_are_read(name: str, make: Callable, run: Path) -> None:
    (run / name).unlink()
    make(run / name)
    read = {METRICS: lambda: read_json(run / METRICS), CONFIG: lambda: read_config(run)}
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read: it is (not a regular file|a folder)"):
        read.get(name, lambda: runs.evaluate_run(run, "test", {}, []))()


@pytest.mark.parametrize("name", [BEST, LAST])
def test_nothing_is_read_through_a_linked_folder(name: str, run: Path) -> None:
    (run / "checkpoints").rename(run.parent / "elsewhere")
    (run / "checkpoints").symlink_to(run.parent / "elsewhere")
    with pytest.raises(CheckpointError, match=r"cannot be read: it is a link, which seqzoo does not follow"):
        runs.evaluate_run(run, "test", {}, []) if name == BEST else load_training(run / name)


def test_a_run_directory_that_cannot_be_written_to_is_unchanged(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(disk, "open_to_update", refuse)
    told = rf"{LOCK} cannot be written \(Read-only file system\), but a training writes into its run directory: "
    with pytest.raises(CheckpointError, match=told):
        runs.resume(run, ["training.steps=6"])


def test_a_file_that_is_too_large_is_not_read(run: Path) -> None:
    os.truncate(run / CONFIG, 2**40)
    with pytest.raises(CheckpointError, match=r"config.yaml cannot be read: it has 1,099,511,627,776 bytes, more than"):
        read_config(run)


LAUGHS = "a: &a [x, x]\n" + "".join(f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "line 2 has an alias"), ("[]", "not a mapping"),
        ("a: [" + "1," * 20_000 + "]", "more than 20,000 keys"),
        ("a: " + "[" * 100_000, "more than 40 levels"), ("a: " + "9" * 99, "99 char"),
        ("a: 0x" + "f" * 40, "42 char"), ("a: 0xfffffffffffffffffff", "64 bits"), ("a: 1:1:1:1:1:1:1:1:1:1:1:1", "64"),
        ("a: !!python/name:os.system x", "could not determine"), ("a: 2001-99-99", "timestamp"), ("a: !!bool x", "'x'"),
        ("a: !!binary aaaa", "binary"), ("a: 1\nb: {c: 1, d: 2, c: 3}", "line 2 has 'c' a second time"),
        ("seed: 1\nseed: 2", "line 2 has 'seed' a second time"), ("a: !!map 3", "mapping"),
        ("1: a", "1 is not a name"), ('a: "\\ud800"', "character"),
    ],
)  # fmt: skip
def test_yaml_that_seqzoo_does_not_write(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=why):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "recursion"), ("[]", "not a mapping"), ('{"\\udc00": 1}', "surrogate"),
        ('{"b": {"a": 1, "a": 2}}', "it has 'a' twice"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "more than 40 levels"),
        ('{"a": [' + "1," * 3_000_001 + "1]}", "more than 3,000,000 values"),
        ('{"a": ' + "9" * 5000 + "}", "4300"), ('{"a": 9223372036854775808}', "64 bits"),
    ],
)  # fmt: skip
def test_json_that_seqzoo_does_not_write(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text(text)
    with pytest.raises(CheckpointError, match=why):
        read_json(tmp_path / METRICS)


def test_points_that_seqzoo_does_not_write_are_left_out(tmp_path: Path) -> None:
    lines = [
        '{"step": 1, "a": 2.5}',
        "[" * 100_000,
        '{"step": true}',
        f'{{"step": {"9" * 50}}}',
        '{"step": 2, "a": "b"}',
    ]
    (tmp_path / CURVES).write_text("\n".join(lines))
    assert read_curves(tmp_path) == [{"step": 1, "a": 2.5}, {"step": 2}]


DAMAGES: dict[str, Callable[[dict], object]] = {
    "no model": lambda content: content.pop("model"),
    "no position": lambda content: content.pop("position"),
    "no threads": lambda content: content.pop("threads"),
    "no random state": lambda content: content["random"].pop("numpy"),
    "a text for a number": lambda content: content["position"].update(step="4"),
    "a negative step": lambda content: content["position"].update(step=-4),
    "a best score too few": lambda content: content["position"].update(best=[0.5]),
    "no tensor": lambda content: content["model"].update({next(iter(content["model"])): 3}),
    "other numbers": lambda content: content.update(model={k: v.long() for k, v in content["model"].items()}),
    "a moment of another shape": lambda content: content["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
    "no moment": lambda content: content["optimizer"]["state"][0].pop("exp_avg_sq"),
    "a parameter that is not there": lambda content: content["optimizer"]["state"].update({99: {}}),
    "half of a loss": lambda content: content.update(running=[torch.zeros((), dtype=torch.float64)]),
    "a short random state": lambda content: content["random"].update(torch=torch.zeros(3, dtype=torch.uint8)),
    "a random state of Python's": lambda content: content["random"].update(python=(3, (1, 2), None)),
    "an average of texts": lambda content: content["averaging"].update(weights=["a"]),
    "a schedule of texts": lambda content: content["schedule"].update(factor="a"),
    "a state that is not one": lambda content: content.update(state=((torch.zeros(2, 3),),)),
    "one number said to be a billion": lambda content: content.update(running=[torch.zeros(1).expand(2**40)] * 2),
    "an average that is a tensor": lambda content: content.update(averaging=torch.zeros(0)),
    "no thread": lambda content: content.update(threads=0),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_checkpoint_that_is_not_whole(damage: Callable[[dict], object], run: Path) -> None:
    content = load_training(run / LAST)
    content.pop("format")
    damage(content)
    save_training(run / LAST, content)
    with pytest.raises(CheckpointError, match=r"last\.pt (does not hold what a training|belongs to|is damaged)"):
        runs.resume(run, ["training.steps=6"])


def test_what_an_optimizer_does_is_said_by_the_configuration_alone(run: Path) -> None:
    content = load_training(run / LAST)
    content["optimizer"]["param_groups"][0].update(maximize=True, betas=(5.0, "a"))
    content.pop("format")
    save_training(run / LAST, content)
    unchanged = shutil.copytree(run, run.parent / "unchanged")
    assert runs.resume(run, ["training.steps=6"])["test"] == runs.resume(unchanged, ["training.steps=6"])["test"]


def test_fewer_gpus_have_the_random_states_that_there_are_for_them(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stored(read_config(run))
    data = runs.build_data(config)
    data.load()
    session = runs.Session(runs.build_model(config, data.spec), config.training, torch.device("cpu"), 4)
    states: dict[int, torch.Tensor] = {}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, number: states.update({number: state}))
    content = session.content()
    content["random"]["cuda"] = [torch.tensor([n], dtype=torch.uint8) for n in range(3)]
    session.device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", list)
    session._restore_random(content["random"], content["random"])
    assert {number: state.item() for number, state in states.items()} == {0: 0, 1: 1}


def test_weights_are_compared_before_a_model_is_made(run: Path) -> None:
    config = read_config(run)
    change_config(run, backbone={**config["backbone"], "hidden_size": 2**20})  # 16 TB
    with pytest.raises(CheckpointError, match=r"best.safetensors belongs to another model"):
        runs.evaluate_run(run, "test", {}, [])


def test_two_processes_do_not_continue_one_run(run: Path) -> None:
    with lock(run / LOCK), pytest.raises(CheckpointError, match=rf"is being trained by process {os.getpid()} on "):
        runs.resume(run, ["training.steps=6"])
    assert runs.resume(run, ["training.steps=6"])["updates"] == 6


def test_a_lock_that_is_waited_for(tmp_path: Path) -> None:
    events = []

    def take() -> None:
        with lock(tmp_path / "lock", wait=True) as is_mine:
            events.append(("taken", is_mine))

    with lock(tmp_path / "lock"):
        waiting = threading.Thread(target=take)
        waiting.start()
        events.append("held")
    waiting.join()
    assert events == ["held", ("taken", True)]


def test_what_a_killed_process_left_is_removed(run: Path) -> None:
    (run / "checkpoints" / f".0123{disk.PART}").touch()
    (run / f".4567{disk.PART}").touch()
    runs.resume(run, ["training.steps=6"])
    assert not list(run.rglob(f"*{disk.PART}"))


@pytest.mark.parametrize("arguments", [["evaluate"], ["predict", "a b"], ["compare"]], ids=lambda given: given[0])
def test_a_full_disk_below_standard_output(
    arguments: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *more = arguments
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as exit:
            cli.main([name, str(finished), *more])
    assert exit.value.code == 2
    assert capsys.readouterr().err == "seqzoo: the output could not be written: No space left on device\n"


def test_a_closed_terminal_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        metrics = runs.start(compose("task=tagging", *OPTIONS), tmp_path / "run")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
    assert metrics["updates"] == 4
    assert "update 4/4" in (tmp_path / "run" / LOG).read_text()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no terminals to hang up")
def test_a_terminal_that_hangs_up_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received == signal.SIGHUP
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None, "nohup asks for it to be ignored"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_undefined_score_is_null(
    command: Callable[..., Done], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row has no variance, by which NRMSE is divided."""
    sizes = ["data.steps=3", "data.train_size=20", "data.validation_size=1", "data.test_size=1", "training.steps=2"]
    metrics = runs.start(
        compose("task=regression", "data=adding", "task.metrics=[nrmse,mse]", "debug=tiny", *sizes), tmp_path / "run"
    )

    capsys.readouterr()

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    content = json.loads((tmp_path / "run" / METRICS).read_text(encoding="utf-8"), parse_constant=refuse)
    assert content["test"]["nrmse"] is metrics["test"]["nrmse"] is None
    assert metrics == content
    assert "nrmse undefined  mse 0." in (tmp_path / "run" / LOG).read_text(encoding="utf-8")
    for line in (tmp_path / "run" / CURVES).read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=refuse)
    scores = json.loads(command("evaluate", tmp_path / "run").out, parse_constant=refuse)
    assert scores == {"split": "test", **content["test"]}
    record = read_run(tmp_path / "run")
    assert math.isnan(record.scores("test")["nrmse"])
    assert record.scores("test")["mse"] == content["test"]["mse"]
    assert command("compare", tmp_path / "run").status == 0
