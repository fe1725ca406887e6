"""The number of threads, the device and the precision."""

from __future__ import annotations

import os
import random

import numpy
import pytest
import torch

from seqzoo.cells.lstm import LSTM
from seqzoo.contracts.errors import ConfigError
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.training import device


@pytest.mark.parametrize(
    ("cores", "load", "rows", "threads"),
    [
        (2, 0.1, 128, 2),  # large steps on an idle machine
        (2, 1.0, 128, 1),  # one core is busy
        (2, 9.0, 128, 1),  # never fewer than one
        (2, 0.1, 8, 1),  # small steps
        (16, 4.2, 1024, 12),
        (16, 4.2, 64, 2),
    ],
)
def test_threads_by_size_and_idle_cores(
    cores: int, load: float, rows: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "available_cores", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    backbone = Recurrent(LSTM, 16, hidden_size=100)  # 40,000 multiplications a row and step
    assert device.choose_threads(backbone, rows) == threads


def test_parallel_jobs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    for share, cores in (("2", 2), ("16", 8), ("", 8), ("4,2", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", share)
        assert device.available_cores() == cores


def test_low_precision_is_refused_on_a_cpu() -> None:
    with pytest.raises(ConfigError, match=r"training.precision is bf16, and the device is a cpu"):
        device.check_precision("bf16", torch.device("cpu"))
    device.check_precision("fp32", torch.device("cpu"))


def test_the_seed_sets_all_random_generators() -> None:
    drawn = []
    for _ in range(2):
        device.seed_everything(2**40 + 3)
        drawn.append((random.random(), numpy.random.random(), torch.rand(()).item()))
    assert drawn[0] == drawn[1]
