"""What every name in conf/cell must do on the command line: a few of each kind always, the others with -m slow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from seqzoo.configuration.registry import names

SMALL = ("debug=tiny", "data.train_size=24", "data.validation_size=8", "data.test_size=8")

QUICK = {
    "lstm", "gru",  # torch's kernels
    "s_lstm", "echo_state", "unitary",  # compiled; weights that are not trained; complex numbers
    "min_gru", "lru",  # parallel scans
    "narx", "m_lstm",  # states that are no vectors
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names("cell")]
)
def test_two_layers_in_both_directions_train_an_epoch(name: str, command: Callable, tmp_path: Path) -> None:
    epoch = ("training.epochs=1", "training.steps=null", "hydra.run.dir=run")
    done = command("train", f"cell={name}", "task=tagging", "backbone=deep_bidirectional", *SMALL, *epoch)
    assert done.status == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["choices"]["cell"] == name
    assert metrics["updates"] == 3  # 24 rows, 8 in a batch
    assert math.isfinite(metrics["train"]["loss_nats"])
    assert 0 <= metrics["test"]["accuracy"] <= 1
    # what was trained is what is loaded
    scores = json.loads(command("evaluate", "run").out)
    assert scores["loss_nats"] == pytest.approx(metrics["test"]["loss_nats"])
