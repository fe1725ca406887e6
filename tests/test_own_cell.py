"""A cell of one's own, outside seqzoo: a module and a YAML in the current folder."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seqzoo
from seqzoo.analysis.testing import CHECKS
from seqzoo.configuration import registry

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = """
import torch
from torch import Tensor, nn

from seqzoo import Cell, State


class Leaky(Cell):
    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.5):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size, self.leak = input_size, hidden_size, hidden_size, leak
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        return (self.recur.weight.new_zeros(batch_size, self.hidden_size),)

    def project(self, x: Tensor) -> Tensor:
        return self.read(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        h = self.leak * h + (1 - self.leak) * torch.tanh(p + self.recur(h))
        return h, (h,)
"""
YAML = """# leaky network of mine
class: my_cells.Leaky
leak: 0.9  # how much of the state is kept
"""
SMALL = ("debug=tiny", "task=tagging", "data.train_size=64", "data.validation_size=8", "data.test_size=8")
ALLOW = "allow_modules=[my_cells]"


@pytest.fixture(autouse=True)
def my_cells(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "my_cells.py").write_text(MODULE)
    (tmp_path / "my_conf" / "cell").mkdir(parents=True)
    (tmp_path / "my_conf" / "cell" / "mine.yaml").write_text(YAML)
    yield
    sys.modules.pop("my_cells", None)


def test_it_is_listed_explained_and_checked(command: Callable) -> None:
    listed = command("list", "cells", "--config-dir", "my_conf")
    listed = {line.split()[0]: line for line in listed.out.splitlines()}
    assert listed["mine"].endswith("  leaky network of mine")
    assert "lstm" in listed
    told = command("info", "mine", "--config-dir", "my_conf").out
    assert told.startswith("mine: leaky network of mine\n")
    assert "states, parameters: unknown, as my_cells is outside seqzoo: add --allow-module my_cells\n" in told
    built = command("info", "mine", "--config-dir", "my_conf", "--allow-module", "my_cells").out
    assert "parameters at I = H = 128: 33,024\n" in built
    sys.modules.pop("my_cells")
    assert "cell.leak=0.9  how much of the state is kept\n" in told
    assert "cell.leak=0.9" in command("train", "--help", "--config-dir=my_conf", "cell=mine").out

    refused = command("check", "--config-dir", "my_conf", "cell=mine")
    assert refused.status == 2
    assert refused.err == (
        "seqzoo: cell.class is 'my_cells.Leaky', outside seqzoo: if you trust it, add 'allow_modules=[my_cells]', "
        "or for a finished run --allow-module my_cells\n"
    )
    assert "my_cells" not in sys.modules

    assert command("check", "--config-dir", "my_conf", "cell=mine", ALLOW).out.endswith("no mistakes\n")
    wrong = command("check", "--config-dir", "my_conf", "cell=mine", "cell.leak=much", ALLOW)
    assert wrong.err == "seqzoo: cell.leak is 'much': it must be a finite number\n"


def test_it_trains_and_its_run_cannot_allow_itself(command: Callable, tmp_path: Path) -> None:
    trained = command("train", "--config-dir", "my_conf", "cell=mine", ALLOW, *SMALL, "hydra.run.dir=run")
    assert trained.status == 0, trained.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["choices"]["cell"] == "mine"
    assert "my_cells" in (tmp_path / "run" / "config.yaml").read_text()

    for refused in (
        command("predict", "run", "the cat"),
        command("evaluate", "run"),
        command("train", "resume=run"),
        command("train", "--config-dir", "my_conf", "resume=run", "training.steps=12"),
    ):
        assert refused.status == 2
        assert "outside seqzoo: if you trust it, add 'allow_modules=[my_cells]'" in refused.err

    predicted = command("predict", "run", "the cat", "--json", "--allow-module", "my_cells")
    assert len(json.loads(predicted.out)["prediction"]) == 2
    evaluated = json.loads(command("evaluate", "run", "--allow-module", "my_cells").out)
    assert evaluated["accuracy"] == pytest.approx(metrics["test"]["accuracy"])
    resumed = command("train", "--config-dir", "my_conf", "resume=run", "training.steps=12", ALLOW)
    assert resumed.status == 0, resumed.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["updates"] == 12


def test_a_user_defined_name_inherits_from_one_of_seqzoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_user_dirs", [])
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "wide_open.yaml").write_text("# LSTM\ndefaults: [lstm, _self_]\nforget_bias: 3.0\n")
    registry.use_config_dir(tmp_path)
    assert seqzoo.create_cell("wide_open", 3, 4).forget_bias == 3.0
    assert seqzoo.create_cell("lstm", 3, 4).forget_bias == 1.0


def test_it_is_held_to_every_check_in_tests_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the lines that CONTRIBUTING.md gives."""
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"(?:^ {4}.*\n|^\n)*^ {4}def test_my_cell.*\n(?:^ {4}.*\n)+", page, re.MULTILINE)
    own = textwrap.dedent(lines).replace("from my_module import", "from my_cells import")
    monkeypatch.syspath_prepend(tmp_path)
    with (tmp_path / "my_cells.py").open("a") as module:
        module.write(
            "\n\nclass Careless(Leaky):\n    def scan(self, x, state=None, lengths=None):\n"
            "        return super().scan(x, state)\n"
        )
    assert failures(own.replace("MyCell", "Leaky")) == set()
    assert failures(own.replace("MyCell", "Careless")) == {"lengths", "padding", "resets", "trees", "grids"}


def failures(tests: str) -> set[str]:
    """The parameters of the tests that fail."""
    names: dict[str, Any] = {}
    exec(tests, names)
    [mark] = names["test_my_cell"].pytestmark
    name, values = mark.args
    assert list(values) == list(CHECKS)
    failed = set()
    for value in values:
        try:
            names["test_my_cell"](**{name: value})
        except AssertionError:
            failed.add(value)
    return failed
