"""Models whose cost cannot be counted without values: the cost is unknown, and they train."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MODULE = """
import torch
from torch import nn

from seqzoo import Cell
from seqzoo.tasks import Tagging


class Branching(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)
        self.largest = self.recur.weight.abs().max().item()  # a constructor may read values, too

    def initial_state(self, batch_size):
        return (self.recur.weight.new_zeros(batch_size, self.hidden_size),)

    def step(self, p, state):
        h = torch.tanh(self.read(p) + self.recur(state[0]))
        if h.abs().max() > 0.5:
            h = h / 2
        return h, (h,)


class Unsupported(Tagging):
    def loss(self, scores, batch):
        return super().loss(scores[batch.lengths > 0], batch)
"""
SMALL = ("debug=tiny", "task=tagging", "allow_modules=[uncounted]", "data.train_size=64")
READ = "a tensor's value is read"
NOT_RUN = "torch cannot run aten.index.Tensor without values"
BRANCH, UNSUPPORTED = (
    "cell=unitary ~cell.initialisation cell.class=uncounted.Branching",
    "task.class=uncounted.Unsupported",
)


@pytest.fixture(autouse=True)
def uncounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "uncounted.py").write_text(MODULE)
    yield
    sys.modules.pop("uncounted", None)


@pytest.mark.parametrize(("chosen", "reason"), [(BRANCH, READ), (UNSUPPORTED, NOT_RUN)])
def test_it_trains_and_the_tables_say_unknown(chosen: str, reason: str, command: Callable, tmp_path: Path) -> None:
    checked = command("check", *SMALL, *chosen.split())
    assert (checked.status, checked.err) == (0, "")
    assert f"unknown: {reason}\n" in checked.out
    assert "unknown during training" in checked.out
    assert checked.out.endswith("no mistakes\n")
    trained = command("train", *SMALL, *chosen.split(), "hydra.run.dir=run")
    assert trained.status == 0, trained.err
    assert f" parameters, unknown FLOPs per token ({reason})" in trained.out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["flops_per_token"] is None
    assert metrics["training_bytes"] is None
    assert metrics["parameters"] > 0
    compared = command("compare", "run")
    assert (compared.status, compared.err) == (0, "")


def test_a_budget_of_parameters_works_and_one_of_flops_is_refused(command: Callable) -> None:
    chosen = [*SMALL, *BRANCH.split()]
    assert command("check", *chosen, "budget.parameters=20k").status == 0
    refused = command("check", *chosen, "budget.flops=20k")
    assert (refused.status, refused.err) == (
        2, f"seqzoo: budget.flops needs the FLOPs per token, which are unknown here: {READ}; give budget.parameters\n",
    )  # fmt: skip
