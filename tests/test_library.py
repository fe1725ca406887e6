"""The public names: documentation, types, and runs started from Python."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import json
import pydoc
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.runs import calls
from seqzoo.training.interrupt import Stopped

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = ("debug=tiny", "task=tagging", "data.train_size=64", "data.validation_size=8", "data.test_size=8")


def test_dir_shows_the_public_names_alone() -> None:
    assert dir(seqzoo) == sorted(seqzoo.__all__)
    assert all(hasattr(seqzoo, name) for name in seqzoo.__all__)
    with pytest.raises(AttributeError, match="'seqzoo' has no attribute 'Lstm'"):
        seqzoo.Lstm  # noqa: B018


def test_help_begins_with_all_public_names() -> None:
    words = set(re.findall(r"\w+", seqzoo.__doc__))
    assert set(seqzoo.__all__) <= words
    assert seqzoo.__doc__.splitlines()[-1] in pydoc.plain(pydoc.render_doc(seqzoo))


@pytest.mark.parametrize("name", sorted(set(seqzoo.__all__) - {"State"}))
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(seqzoo, name)
    written = inspect.getdoc(value)
    assert written
    assert not written.startswith(f"{name}(")  # of a dataclass without one
    if inspect.isfunction(value) or name in ("RNN", "LSTM", "Cell", "Batch", "Task", "DataModule", "Backbone"):
        assert ">>> " in written
    assert undocumented(value) == []


def test_a_name_without_an_entry_in_its_section_is_undocumented() -> None:
    class Base:
        size: int

    Base.__module__ = "seqzoo.base"

    class Sample(Base):
        """A sample of size 3: step, not listed.

        Args:
            first, second: two of
                three: this line continues the entry.
            **options: the rest.

        Returns:
            third: not an argument.
        """

        def __init__(self, first: int, second: int, third: int, **options: int): ...

        def run(self, x: int, steps: int) -> int:
            """Run `steps` steps.

            Args:
                x: the input.
            """

        def stop(self) -> None: ...

        @property
        def length(self) -> int: ...

    Sample.__module__ = "seqzoo.sample"
    assert undocumented(Sample) == [
        "Sample(third)", "Sample(size)", "Sample.run(steps)", "Sample.run -> int", "Sample.stop", "Sample.length",
    ]  # fmt: skip
    assert undocumented(Sample.run) == ["run(steps)", "run -> int"]


def undocumented(value: Any) -> list[str]:
    """The parameters, attributes, methods and results of a class or function of seqzoo that its docstrings lack."""
    name = value.__name__
    if not inspect.isclass(value):
        return [*(f"{name}({parameter})" for parameter in parameters(value) if parameter not in entries(value)),
                *(f"{name} -> {result}" for result in undescribed_result(value))]  # fmt: skip
    classes = [cls for cls in value.__mro__ if cls.__module__.startswith("seqzoo")]
    attributes = [name for cls in classes for name in vars(cls).get("__annotations__", {}) if not name.startswith("_")]
    own = any("__init__" in vars(cls) or "__new__" in vars(cls) for cls in classes)
    names = dict.fromkeys([*(parameters(value) if own else []), *attributes])
    missing = [f"{name}({parameter})" for parameter in names if parameter not in entries(value)]
    methods = {key: member for cls in classes for key, member in vars(cls).items() if not key.startswith("_")}
    for key, member in methods.items():
        member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(member) or isinstance(member, property | functools.cached_property):
            if not inspect.getdoc(getattr(value, key)):
                missing.append(f"{name}.{key}")
            elif inspect.isfunction(member):
                method = getattr(value, key)
                missing += [f"{name}.{key}({p})" for p in parameters(method) if p not in entries(method)]
                missing += [f"{name}.{key} -> {result}" for result in undescribed_result(method)]
    return missing


def undescribed_result(function: Any) -> list[str]:
    """What a function returns, if it has a docstring of its own without a section about that; empty: it has one."""
    result = inspect.signature(function).return_annotation
    if result in (None, "None", inspect.Signature.empty) or function.__doc__ is None:
        return []
    return [] if re.search("^(Returns|Yields):$", inspect.getdoc(function) or "", re.MULTILINE) else [str(result)]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def entries(value: Any) -> set[str]:
    """The names with an entry of their own in the sections Args and Attributes of a docstring."""
    sections = re.findall(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)+)", f"{inspect.getdoc(value)}\n", re.MULTILINE)
    lines = re.findall(r"^ {4}([\w*][\w*, ]*): \S", "".join(sections), re.MULTILINE)
    return {name.strip("* ") for line in lines for name in line.split(",")}


def test_a_run_is_trained_scored_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = seqzoo.train(*SMALL)
    assert run.folder.is_relative_to(tmp_path / "runs")
    assert run.metrics == json.loads((run.folder / "metrics.json").read_text())
    scores = seqzoo.evaluate(run.folder)
    assert {name: scores[name] for name in run.metrics["test"]} == pytest.approx(run.metrics["test"])
    assert seqzoo.evaluate(run.folder, "validation")["accuracy"] == run.metrics["validation"]["accuracy"]
    [prediction] = seqzoo.load(run.folder).predict(["the cat sleeps"])
    assert len(prediction.answer) == 3
    longer = seqzoo.train(f"resume={run.folder}", f"training.steps={run.metrics['updates'] + 2}")
    assert longer.folder == run.folder
    assert longer.metrics["updates"] == run.metrics["updates"] + 2


@pytest.mark.parametrize("function", ["compose", "build", "baseline"])
def test_what_does_not_continue_a_run_refuses_resume(function: str) -> None:
    for override in ("resume=runs/r", "++resume=runs/r"):
        with pytest.raises(
            ConfigError, match=r"^resume=runs/r has no effect here: continue .* read its model with seq"
        ):
            getattr(seqzoo, function)(override)
    assert seqzoo.compose("resume=null").seed == 0


def test_what_train_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no cell named 'lstn'. Did you mean"):
        seqzoo.train("cell=lstn")
    with pytest.raises(ConfigError, match="-m is a flag of the command line"):
        seqzoo.train("-m", "cell=lstm,gru")
    with pytest.raises(ConfigError, match="cell"):
        seqzoo.train("cell=lstm,gru")
    assert not list(tmp_path.iterdir())


def test_without_a_test_split_the_validation_split_is_scored_and_arguments_of_a_wrong_type_are_named(
    tmp_path: Path, command: Callable, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "train.bio"
    path.write_text("".join(f"a{number} X\nb Y\n\n" for number in range(20)))
    done = command("train", "debug=tiny", "task=tagging", "data=tagging_files", f"data.train={path}", "hydra.run.dir=r")
    assert done.status == 0, done.err
    told = "seqzoo: the data of this run have no test split: these are the scores of the validation split\n"
    evaluated = command("evaluate", "r")
    assert (evaluated.err, json.loads(evaluated.out)["split"]) == (told, "validation")
    capsys.readouterr()
    assert seqzoo.evaluate("r")["accuracy"] == json.loads(evaluated.out)["accuracy"]
    assert capsys.readouterr().err == told
    assert "has train, validation; choose" in command("evaluate", "r", "split=test").err

    loaded = seqzoo.load("r", torch.device("cpu"))
    for call, told in {
        lambda: seqzoo.list_cells(5): "pattern is 5: it must be a text",
        lambda: seqzoo.compose(["task=tagging"]): "an override is ['task=tagging']: it must be a text of its own",
        lambda: seqzoo.build(None): "an override is None: it must be a text",
        lambda: seqzoo.evaluate(5): "run_dir is 5: it must be a text or a Path",
        lambda: seqzoo.evaluate("r", ["test"]): "split is ['test']: it must be",
        lambda: seqzoo.evaluate("r", allow_modules="os"): "allow_modules is 'os': it must be a list",
        lambda: seqzoo.load("r", 5): "device is 5: it must be",
        lambda: seqzoo.load("r", allow_modules=[5]): "allow_modules contains 5: it must be a list",
        lambda: seqzoo.load("r", options="search.beam_size=5"): "options is 'search.beam_size=5': it must be a mapping",
        lambda: seqzoo.load("r", beside="r"): "beside is 'r': it must be a list of run directories",
        lambda: loaded.predict("ab"): "texts is 'ab': it must be a list of texts",
        lambda: loaded.predict([5]): "texts contains 5: it must be a list of texts",
        lambda: loaded.predict(iter([5])): "texts contains 5: it must be a list of texts",
        lambda: loaded.count_unknown("ab"): "texts is 'ab': it must be a list of texts",
        lambda: loaded.predict(["a"], "x"): "batch_size is 'x': it must be an integer",
    }.items():
        with pytest.raises(TypeError, match=f"^{re.escape(told)}"):
            call()
    with pytest.raises(ValueError, match="batch_size is 0: it must be at least 1"):
        loaded.predict(["a"], 0)


def test_a_path_that_no_file_can_have() -> None:
    for call in (seqzoo.load, seqzoo.evaluate):
        with pytest.raises(CheckpointError, match=r"is not a run directory: there is no such folder"):
            call("r\0")


@pytest.mark.parametrize("others", [["./r"], ["s", "r"], ["s", Path("s")]], ids=str)
def test_an_ensemble_is_of_different_runs(others: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^[rs] is given twice: an ensemble averages the probabilities of different"):
        seqzoo.load("r", beside=others)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_an_interrupted_training_interrupts_the_program(
    number: int, error: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: object) -> None:
        raise Stopped(number)

    monkeypatch.setattr(calls, "train_one", stopped)
    with pytest.raises(error):
        seqzoo.train("cell=gru")


PROGRAM = """# mypy: disallow-any-generics, disallow-subclassing-any, disallow-untyped-calls, warn-return-any
# pyright: strict
import torch

import seqzoo


class Leaky(seqzoo.Cell):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.weight = torch.nn.Parameter(torch.randn(hidden_size, input_size))

    def initial_state(self, batch_size: int) -> seqzoo.State:
        return (self.weight.new_zeros(batch_size, self.hidden_size),)

    def step(self, p: torch.Tensor, state: seqzoo.State) -> tuple[torch.Tensor, seqzoo.State]:
        h: torch.Tensor = torch.tanh(p @ self.weight.t() + state[0])
        return h, (h,)


outputs, state = Leaky(8, 16).scan(torch.randn(2, 5, 8))
first: torch.Tensor = outputs[0] + state[0]
names: list[str] = seqzoo.list_cells("*gru*")
rnn = seqzoo.RNN(names[0], 8, 16, num_layers=2, dtype=torch.float64)
lstm: torch.nn.Module = seqzoo.from_torch(torch.nn.LSTM(8, 16)).to_torch()
model, data = seqzoo.build("task=tagging", "cell=gru")
batch: seqzoo.Batch = next(data.batches("train"))
loss: seqzoo.Loss = model.task.loss(model.task(model.encode(batch), batch), batch)
run = seqzoo.train("task=tagging")
accuracy: float = seqzoo.evaluate(run.folder, "validation")["accuracy"]
answers: list[seqzoo.Prediction] = seqzoo.load(run.folder).predict(["a text"])
wrong: int = seqzoo.list_tasks()  # wrong
seqzoo.RNN("lstm", "8", 16)  # wrong
seqzoo.evaluate(run.metrics)  # wrong
batch.targets.sum()  # wrong: there may be none
seqzoo.Lstm  # wrong
"""
WRONG_LINES = [number for number, line in enumerate(PROGRAM.splitlines(), start=1) if "# wrong" in line]


def lines_with_errors(command: list[str], folder: Path) -> list[int]:
    """The lines of PROGRAM in which a type checker finds mistakes."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([*command, program], check=False, capture_output=True, text=True, cwd=REPOSITORY)
    lines = re.findall(r"program\.py:(\d+):.*error", done.stdout)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{len(lines)} error" in done.stdout, done.stdout  # and none elsewhere
    return sorted({int(line) for line in lines})


@pytest.mark.slow
def test_mypy_checks_a_program_that_uses_seqzoo(tmp_path: Path) -> None:
    """With the project's own settings, so that what `make lint` has analysed is not analysed again."""
    assert (REPOSITORY / "seqzoo" / "py.typed").exists()
    command = [sys.executable, "-m", "mypy", "--config-file", str(REPOSITORY / "pyproject.toml")]
    assert lines_with_errors(command, tmp_path) == WRONG_LINES


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_checks_a_program_that_uses_seqzoo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    assert lines_with_errors(command, tmp_path) == WRONG_LINES
