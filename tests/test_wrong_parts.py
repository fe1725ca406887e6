"""Parts of one's own that do not do what their base class requires are named, with the line and what they returned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.configuration import registry
from seqzoo.contracts.errors import ConfigError, PartError
from seqzoo.training.evaluation import evaluate

HERE = r"\(test_wrong_parts.py, line \d+\)"


class Plain(seqzoo.Cell):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> Any:
        return (self.recur.weight.new_zeros(batch_size, self.hidden_size),)

    def project(self, x: Tensor) -> Any:
        return self.read(x)

    def step(self, p: Tensor, state: seqzoo.State) -> Any:
        h = torch.tanh(p + self.recur(state[0]))
        return h, (h,)


class Detached(Plain):
    def step(self, p: Tensor, state: seqzoo.State) -> Any:
        h, _ = super().step(p, state)
        return h.detach(), (h.detach(),)


class Misnaming(Plain):
    def step(self, p: Tensor, state: seqzoo.State) -> Any:
        return {}["k" * 5000]


class Refusing(Plain):
    def step(self, p: Tensor, state: seqzoo.State) -> Any:
        raise ValueError


def variant(method: str, change: Any) -> type[Plain]:
    """A cell in which the result of a method is changed."""

    def changed(self: Plain, *arguments: Any) -> Any:
        return change(getattr(Plain, method)(self, *arguments))

    return type("Wrong", (Plain,), {method: changed})


def branching(change: Any) -> type[Plain]:
    """A cell with a changed step that reads values, so that it is tried for the first time with real data."""

    def step(self: Plain, p: Tensor, state: seqzoo.State) -> Any:
        return change(Plain.step(self, p if p.sum() < 1e6 else -p, state))

    return type("Wrong", (Plain,), {"step": step})


STEPS = {
    "None": lambda result: None,
    "[Tensor (2, 4), (Tensor (2, 4),)]": list,
    "Tensor (2, 4)": lambda result: result[0],
    "(Tensor (2, 1), (Tensor (2, 4),))": lambda result: (result[0][:, :1], result[1]),
    "(Tensor (2, 4), [Tensor (2, 4)])": lambda result: (result[0], [result[0]]),
    "(Tensor (2, 4), Tensor (2, 4))": lambda result: (result[0], result[0]),
    "(Tensor (2, 4), (Tensor (2, 8),))": lambda result: (result[0], (torch.cat([result[0]] * 2, 1),)),
    "(Tensor (2, 4), ())": lambda result: (result[0], ()),
}


@pytest.mark.parametrize("returned", STEPS)
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.1}, {"engine": "reference"}, {"engine": "fused"}])
def test_a_step(returned: str, options: dict[str, Any]) -> None:
    cell = seqzoo.create_cell(variant("step", STEPS[returned]), 3, 4, **options)
    with pytest.raises(PartError, match=rf"Wrong.step {HERE} returned ") as error:
        cell.scan(torch.randn(2, 5, 3))
    assert f"returned {returned}: it must return (Tensor (2, 4), (Tensor (2, 4),)), an output" in str(error.value)


def test_a_step_in_layers_of_all_kinds() -> None:
    for kind in (variant, lambda _, change: branching(change)):
        cell = kind("step", STEPS["(Tensor (2, 1), (Tensor (2, 4),))"])
        for layers in (seqzoo.RNN(cell, 3, 4), seqzoo.RNN(cell, 3, 4, 2, bidirectional=True, zoneout=0.1)):
            with pytest.raises(PartError, match=rf"Wrong.step {HERE} returned \(Tensor \(2, 1\)"):
                layers(torch.randn(5, 2, 3), lengths=torch.tensor([5, 2]))


@pytest.mark.parametrize("change", [list, lambda state: state[0], lambda state: None, lambda state: (state[0][:1],)])
def test_an_initial_state(change: Any) -> None:
    cell = variant("initial_state", change)
    with pytest.raises(PartError, match=rf"Wrong.initial_state {HERE} returned .*whose first dimension is 2 here"):
        cell(3, 4).scan(torch.randn(2, 5, 3))  # compiled code would write over the end of a state of one row
    with pytest.raises(PartError, match=rf"Wrong.initial_state {HERE} returned"):
        seqzoo.RNN(cell, 3, 4)(torch.randn(5, 2, 3))


@pytest.mark.parametrize("change", [lambda p: None, lambda p: p[0], lambda p: [p]])
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_projection(change: Any, engine: str) -> None:
    cell = seqzoo.create_cell(variant("project", change), 3, 4, engine=engine)
    with pytest.raises(PartError, match=rf"Wrong.project {HERE} returned .*: it must return a tensor of shape \(2, "):
        cell.scan(torch.randn(2, 5, 3))


def test_missing_attributes() -> None:
    class Unsized(Plain):
        def __init__(self, input_size: int, hidden_size: int):
            super().__init__(input_size, hidden_size)
            del self.output_size

    with pytest.raises(PartError, match=r"Unsized.__init__ does not set self.output_size, which every Cell has"):
        seqzoo.RNN(Unsized, 3, 4)


def test_weights_without_a_gradient_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    small = ("task=tagging", "debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8")
    monkeypatch.setattr(registry, "_user_dirs", [])
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "detached.yaml").write_text("# without a gradient\nclass: test_wrong_parts.Detached\n")
    registry.use_config_dir(tmp_path)
    own = ("cell=detached", "allow_modules=[test_wrong_parts]")
    for options, remarks in ((own, 1), (("cell=echo_state",), 0)):
        run = seqzoo.train(*small, *options, f"hydra.run.dir=run{remarks}")
        log = (run.folder / "train.log").read_text()
        assert log.count("no gradient reaches ") == remarks
    assert (
        "reaches encoder.embedding.weight, backbone.layers.0.0.read.weight" in (tmp_path / "run1/train.log").read_text()
    )


TINY = ("task=tagging", "debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=8")
PARTS: dict[str, tuple[Callable, str, Any, str]] = {
    "no loss": (lambda model, _: model.task, "loss", None, "None: it must return Loss"),
    "a bare loss": (lambda model, _: model.task, "loss", torch.ones(()), r"Tensor \(\): it must return Loss"),
    "a loss per row": (lambda model, _: model.task, "loss", seqzoo.Loss(torch.ones(2), torch.ones(2)), "Loss"),
    "no answers": (lambda model, _: model.task, "decode", None, "None: it must return a list of 8 Predictions"),
    "texts": (
        lambda model, _: model.task,
        "decode",
        ["a"] * 8,
        r"\[str 'a', .*: it must return a list of 8 Predictions",
    ),
    "no vectors": (lambda model, _: model.encoder, "forward", None, r"None: .* tensor \(B, T, output_size="),
    "no state": (lambda model, _: model.backbone, "forward", torch.ones(8, 3, 4), r"Tensor .*: .* outputs \(B, T, "),
    "no batches": (lambda _, data: data, "batches", None, "None: it must return an iterator of Batches"),
    "tensors": (lambda _, data: data, "batches", [torch.ones(2)], r"Tensor \(2,\): it must return an iterator"),
}


@pytest.mark.parametrize("wrong", PARTS)
def test_other_parts(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part_of, method, result, message = PARTS[wrong]
    model, data = seqzoo.build(*TINY)
    part = part_of(model, data)
    monkeypatch.setattr(type(part), method, lambda self, *arguments: result)
    with pytest.raises(PartError, match=rf"{type(part).__name__}.{method} {HERE} returned .*{message}"):
        evaluate(model, data, "validation", torch.device("cpu"), confusion=model.task.report())


def test_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = seqzoo.build(*TINY)
    kind = type(model.task.metrics()[0])
    monkeypatch.setattr(kind, "compute", lambda self: "high")
    with pytest.raises(PartError, match=rf"{kind.__name__}.compute {HERE} returned str 'high': it must return a float"):
        evaluate(model, data, "validation", torch.device("cpu"))


def test_an_exception_in_the_trial_batch(tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    (tmp_path / "conf" / "cell").mkdir(parents=True)
    for name in ("Misnaming", "Refusing"):
        (tmp_path / "conf" / "cell" / f"{name}.yaml").write_text(f"# raises\nclass: test_wrong_parts.{name}\n")
    own = ("check", "--config-dir", "conf", "allow_modules=[test_wrong_parts]", "task=tagging")
    done = command(*own, "cell=Misnaming")
    assert (done.status, max(map(len, done.err.splitlines()))) == (1, 299)
    last = done.err.splitlines()[-1]
    assert last.startswith("seqzoo: test_wrong_parts.Misnaming.step raised KeyError: 'kkkkk")
    assert last.endswith("in the trial of a batch before training")
    done = command(*own, "cell=Refusing")
    assert done.status == 2
    assert "cell=Refusing, task=tagging: test_wrong_parts.Refusing.step raised ValueError (test_wr" in done.err


def test_a_class_is_a_cell_by_its_base_class() -> None:
    with pytest.raises(ConfigError, match=r"RNN: the cell is torch\S+LSTM, which does not inherit from seqzoo.Cell$"):
        seqzoo.RNN(nn.LSTM, 3, 4)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"create_cell: the cell is seqzoo\S+Cell, which does not define initial_state"
    ):
        seqzoo.create_cell(seqzoo.Cell, 3, 4)


def test_a_cell_of_ones_own_in_layers() -> None:
    rnn = seqzoo.RNN(Plain, 3, 4, num_layers=2, bidirectional=True, zoneout=0.1, engine="reference").eval()
    outputs, state = rnn(torch.randn(5, 2, 3), lengths=[5, 2])
    assert (outputs.shape, state.shape) == ((5, 2, 8), (4, 2, 4))  # type: ignore[union-attr]
    unbiased = seqzoo.RNN(Plain, 3, 4, bias=False, engine="reference")
    assert [name for name, _ in unbiased.named_parameters() if "bias" in name] == []
    assert not unbiased(torch.zeros(5, 2, 3))[0].any()  # type: ignore[union-attr]
