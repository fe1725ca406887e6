"""What every test gets: one thread, a fixed seed, and the real data where there are any."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]

# Small steps on several threads are many times slower than on one when the machine is busy.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in a test whether it runs alone, first or last."""
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder with one sub-folder for each real data set; skips the test where there is none."""
    chosen = os.environ.get("SEQZOO_TEST_DATA")
    root = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if root.is_dir():
        return root
    if chosen:
        pytest.fail(f"SEQZOO_TEST_DATA names {chosen}, which is not a folder.")
    pytest.skip("no real data: set SEQZOO_TEST_DATA to a folder with one sub-folder for each data set (multi30k, ...)")
