"""A run that is killed at any moment can be resumed and ends with the scores of an uninterrupted one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqzoo.training.record.checkpoint import load_training
from seqzoo.training.record.files import LAST

OPTIONS = [
    "task=language_modeling", "debug=tiny", "task.dropout=0.2", "data.train_size=400", "data.limit=3000",
    "data.window=8", "training.steps=40", "training.validate_every=20", "training.save_every=0", "training.examples=1",
]  # fmt: skip


def launch(folder: Path, *overrides: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "seqzoo", "train", *overrides]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ.copy()
    )


def step_of(folder: Path) -> int:
    return load_training(folder / LAST)["position"]["step"] if (folder / LAST).exists() else -1


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    """Return once there is a checkpoint of that update or a later one."""
    while step_of(folder) < step:
        with contextlib.suppress(subprocess.TimeoutExpired):  # the core is the training's meanwhile
            process.wait(0.1)
        assert process.poll() is None, process.communicate()[1].decode()


@pytest.mark.parametrize("kills", [(1,), pytest.param((1, 12, 24), marks=pytest.mark.slow)])
def test_killed_runs_continue(kills: tuple[int, ...], command: Callable, tmp_path: Path) -> None:
    assert command("train", *OPTIONS, "hydra.run.dir=whole").status == 0
    cut = tmp_path / "cut"
    delay = random.Random(7)
    for number, earliest in enumerate(kills):
        process = launch(tmp_path, *(["resume=cut"] if number else [*OPTIONS, "hydra.run.dir=cut"]))
        wait_for_step(cut, earliest + delay.randrange(8), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert 0 < step_of(cut) < 40
    assert command("train", "resume=cut").status == 0
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "cut")]
    for split in ("train", "validation", "test"):
        assert metrics[0][split] == metrics[1][split]
    assert not list((cut / "checkpoints").glob(".*")), "a temporary file of a killed run stays behind"
