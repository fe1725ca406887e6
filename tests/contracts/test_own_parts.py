"""Parts of the user's own that raise: the command line names the part, the line and the moment, and the run goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import seqzoo
from seqzoo.contracts.own_parts import failure_of_own_part
from seqzoo.training.record.checkpoint import load_training

PARTS = """
from dataclasses import dataclass
from pathlib import Path

from seqzoo.cells.gru import GRU
from seqzoo.data.generated.grammar import GrammarTags
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.metrics import PredictionMetric
from seqzoo.tasks import Tagging


def broken(at):
    return (here := Path(at)).exists() and {}[here.name]


class Cell(GRU):
    def __init__(self, input_size, hidden_size):
        broken("cell")
        super().__init__(input_size, hidden_size)


@dataclass(eq=False, kw_only=True)
class Data(GrammarTags):
    def read(self):
        if Path("data").exists():
            open("things.csv")
        return super().read()


class Rule(BackpropagationThroughTime):
    def gradients(self, objective, batch, state):
        broken("rule")
        return super().gradients(objective, batch, state)


class Count(PredictionMetric):
    name = "count"
    higher_is_better = True

    def __init__(self):
        self.rows = 0

    def add(self, answer, reference):
        self.rows += 1
        if self.rows > 4:
            broken("metric")

    def compute(self):
        return self.rows


class Task(Tagging):
    def decode(self, model, batch, features=None):
        broken("task")
        return super().decode(model, batch, features)

    def prompt(self, text):
        broken("prompt")
        return super().prompt(text)

"""
ALLOWED = "allow_modules=[broken_parts]"
CHOSEN = (
    "task=tagging", "debug=tiny", "data.train_size=32", "data.validation_size=8", "data.test_size=8",
    "cell=elman", "cell.engine=reference", "backbone.hidden_size=8", ALLOWED,
    "learning.class=broken_parts.Rule", "task.class=broken_parts.Task", "task.metrics=[accuracy,broken_parts.Count]",
    "training.diagnostics=0",
)  # fmt: skip
ALLOW = ("--allow-module", "broken_parts")


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    tmp_path.joinpath("broken_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("broken_parts", None)


def test_the_part_the_line_and_the_moment_are_told_and_the_run_goes_on(command: Callable, tmp_path: Path) -> None:
    flags = {name: tmp_path / name for name in ("rule", "metric", "task", "prompt")}
    line = PARTS.splitlines().index("    return (here := Path(at)).exists() and {}[here.name]") + 1
    where = f"raised KeyError: '{{}}' (broken_parts.py, line {line}), {{}}\n"

    flags["rule"].touch()
    failed = command("train", *CHOSEN, "training.steps=2", "hydra.run.dir=run")
    assert failed.status == 1
    lines = failed.err.splitlines(keepends=True)
    assert lines[-1] == "seqzoo: broken_parts.Rule.gradients " + where.format("rule", "in update 1")
    assert lines[0] == "Traceback (most recent call last):\n"
    assert "broken_parts.py" in lines[1], "the traceback begins in the user's file"
    assert f"train resume={tmp_path / 'run'} '{ALLOWED}'" in failed.out
    assert "KeyError: 'rule'" in (tmp_path / "run/train.log").read_text()
    flags["rule"].unlink()

    flags["metric"].touch()
    failed = command("train", "resume=run", ALLOWED)
    assert failed.err.splitlines(keepends=True)[-1] == (
        "seqzoo: broken_parts.Count.add " + where.format("metric", "in the validation after update 2")
    )
    flags["metric"].unlink()
    assert command("train", "resume=run", ALLOWED).status == 0
    assert load_training(tmp_path / "run/checkpoints/last.pt")["position"]["step"] == 2

    flags["task"].touch()
    for arguments, moment in (
        (("evaluate", "run"), "while the test split was scored"),
        (("predict", "run", "the cat", "the dog"), "while lines 1 to 2 were answered"),
    ):
        failed = command(*arguments, *ALLOW)
        assert failed.err.endswith("seqzoo: broken_parts.Task.decode " + where.format("task", moment))
    flags["task"].unlink()
    flags["prompt"].touch()
    failed = command("predict", "run", "the cat", *ALLOW)
    assert failed.err.endswith("seqzoo: broken_parts.Task.prompt " + where.format("prompt", "while line 1 was read"))
    flags["prompt"].unlink()
    flags["task"].touch()
    with pytest.raises(KeyError) as caught:  # a program gets the exception as it is
        seqzoo.load(tmp_path / "run", allow_modules=["broken_parts"]).predict(["the cat"])
    assert caught.value.__notes__ == ["while line 1 was answered"]


@pytest.mark.parametrize(
    ("part", "error", "moment"),
    [
        ("Cell.__init__", "KeyError: 'cell'", "while the cell was constructed"),
        (
            "Data.read",
            "FileNotFoundError: [Errno 2] No such file or directory: 'things.csv'",
            "while the data were read",
        ),
    ],
)
def test_a_constructor_and_a_missing_file(
    command: Callable, tmp_path: Path, part: str, error: str, moment: str
) -> None:
    name = part.partition(".")[0]
    (tmp_path / name.lower()).touch()
    failed = command("train", *CHOSEN, "training.steps=1", f"{name.lower()}.class=broken_parts.{name}")
    last = failed.err.splitlines()[-1]
    assert failed.status == 1
    assert last.startswith(f"seqzoo: broken_parts.{part} raised {error} (broken_parts.py, line ")
    assert last.endswith(f"), {moment}")


def test_errors_of_seqzoo_itself_are_no_failure_of_a_part() -> None:
    with pytest.raises(TypeError) as caught:
        seqzoo.create_cell("gru", 2, 3).step(None, None)
    assert failure_of_own_part(caught.value) is None
