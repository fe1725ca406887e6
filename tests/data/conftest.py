from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def real_data() -> str:
    """The folder of real data: SEQZOO_TEST_DATA, else ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SEQZOO_TEST_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data here: set SEQZOO_TEST_DATA to a folder that holds it")
    return str(folder)
