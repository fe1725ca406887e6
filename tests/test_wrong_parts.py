"""Parts of one's own that do not do what their base class requires are named, with the line and what they returned."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.configuration import registry
from seqzoo.configuration.recipe import tailored
from seqzoo.contracts.errors import ConfigError, PartError
from seqzoo.data.examples import Example
from seqzoo.data.generated.chord_progressions import ChordProgressions
from seqzoo.data.generated.dial_tones import DialTones
from seqzoo.data.generated.grammar import GrammarTags, GrammarText
from seqzoo.data.generated.shapes import Shapes
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.rule import without_gradient
from seqzoo.metrics import PredictionMetric, create_metric
from seqzoo.network.model import Model
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.decoding import Checked, Constraint, Search
from seqzoo.tasks.decoding.forms import form_of
from seqzoo.training.evaluation import decoded_examples, evaluate
from seqzoo.training.session import count_updates

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


LATER = {
    "(Tensor (2, 2), (Tensor (2, 4),))": lambda h: (h[:, :2], (h,)),
    "(Tensor (2, 4), (Tensor (2, 1),))": lambda h: (h, (h[:, :1],)),  # which would be broadcast
    "Tensor (2, 4)": lambda h: h,
}


@pytest.mark.parametrize("returned", LATER)
def test_a_later_step(returned: str) -> None:
    class Changing(Plain):
        count = 0

        def step(self, p: Tensor, state: seqzoo.State) -> Any:
            self.count += 1
            h, following = super().step(p, state)
            return LATER[returned](h) if self.count == 4 else (h, following)

    for lengths in (None, torch.tensor([5, 3])):
        with pytest.raises(PartError, match=rf"Changing.step {HERE} returned {re.escape(returned)}: it must return"):
            Changing(3, 4).scan(torch.randn(2, 5, 3), None, lengths)


TYPES = {
    "an output of torch.float64": lambda result: (result[0].double(), result[1]),
    "an output of torch.int64": lambda result: (result[0].long(), result[1]),
    "a state of torch.float64": lambda result: (result[0], (result[0].double(),)),
    "a state of torch.bool": lambda result: (result[0], (result[0] > 0,)),
}


@pytest.mark.parametrize("returned", TYPES)
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_the_types_of_a_step(returned: str, engine: str) -> None:
    cell = seqzoo.create_cell(variant("step", TYPES[returned]), 3, 4, engine=engine)
    with pytest.raises(PartError, match=rf"Wrong.step {HERE} returned {returned}: it must be of torch.float32, or of"):
        cell.scan(torch.randn(2, 5, 3))
    if "float64" in returned:
        cell.double().scan(torch.randn(2, 5, 3).double())


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


TINY = (
    "task=tagging", "debug=tiny", "data.train_size=16", "data.validation_size=8", "data.test_size=8",
    "training.steps=1", "training.examples=0",
)  # fmt: skip


def test_weights_without_a_gradient_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(registry, "_user_dirs", [])
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "detached.yaml").write_text("# without a gradient\nclass: test_wrong_parts.Detached\n")
    registry.use_config_dir(tmp_path)
    run = seqzoo.train(*TINY, "cell=detached", "allow_modules=[test_wrong_parts]", "hydra.run.dir=run")
    log = (run.folder / "train.log").read_text()
    assert log.count("no gradient reaches ") == 1
    assert "reaches encoder.embedding.weight, backbone.layers.0.0.read.weight" in log


def test_fixed_weights_need_no_gradient() -> None:
    model, data = seqzoo.build(*TINY, "cell=echo_state", "data.batch_size=2")
    model.loss(next(data.batches("train")))[0].total.backward()
    assert without_gradient(BackpropagationThroughTime(), model) == {}


@pytest.fixture(scope="module")
def tagging() -> tuple[Model, seqzoo.DataModule]:
    """A model and its data, which tests only read: they replace methods of the classes."""
    return seqzoo.build(*TINY)


CPU = torch.device("cpu")


def evaluated(model: Model, data: seqzoo.DataModule) -> object:
    return evaluate(model, data, "validation", CPU, confusion=model.task.report())


def logged(model: Model, data: seqzoo.DataModule) -> object:
    return decoded_examples(model, data, "validation", CPU, 2)


def predicted(model: Model, data: seqzoo.DataModule) -> object:
    return Loaded(model, data.spec).predict(["a text", "a longer text"])


def rebuilt(model: Model, data: seqzoo.DataModule) -> object:
    return seqzoo.build(*TINY)


def counted(model: Model, data: seqzoo.DataModule) -> object:
    return count_updates(data, replace(seqzoo.compose(*TINY).training, epochs=2))


def measured(model: Model, data: seqzoo.DataModule) -> object:
    return tailored(seqzoo.compose(*TINY, "recipe=auto"))


LOSS_OF_ROWS = seqzoo.Loss(torch.ones(2), torch.ones(2))
PARTS: list[tuple[Callable, str, str, Any, str]] = [
    (evaluated, "task", "forward", (torch.ones(2),), r"\(Tensor \(2,\),\): it must return a tensor of scores"),
    (evaluated, "task", "loss", None, "None: it must return Loss"),
    (evaluated, "task", "loss", torch.ones(()), r"Tensor \(\): it must return Loss"),
    (evaluated, "task", "loss", LOSS_OF_ROWS, r"\(Tensor \(2,\), Tensor \(2,\)\): it must return Loss"),
    (evaluated, "task", "decode", None, "None: it must return a list of 8 Predictions"),
    (evaluated, "task", "decode", ["a"] * 8, r"\[str 'a', .*: it must return a list of 8 Predictions"),
    (evaluated, "task", "references", ["a"], r"\[str 'a'\]: it must return a list of 8 answers here"),
    (
        evaluated,
        "task",
        "references",
        [1] * 8,
        r"references, such as int 1, .* its answers, such as \[str '\w+', .*int",
    ),
    (evaluated, "task", "metrics", [], r"\[\]: it must return a list of Metrics, the first of which selects"),
    (evaluated, "task", "metrics", ["accuracy"], r"\[str 'accuracy'\]: it must return a list of Metrics"),
    (logged, "task", "show", None, "None: it must return a list of 2 texts here"),
    (logged, "task", "samples", "a", "str 'a': it must return a Batch"),
    (predicted, "task", "decode", [], r"\[\]: it must return a list of 2 Predictions"),
    (predicted, "task", "candidates", [["a"], []], r"\[\[str 'a'\], \[\]\]: it must return 2 lists of Predictions"),
    (predicted, "task", "prompt", 3, "int 3: it must return a text"),
    (rebuilt, "task", "example_batch", None, "None: it must return a Batch"),
    (rebuilt, "task", "metrics", None, "None: it must return a list of Metrics"),
    (evaluated, "encoder", "forward", None, r"None: .* tensor \(B, T, output_size="),
    (evaluated, "backbone", "forward", torch.ones(8, 3, 4), r"Tensor .*: .* outputs \(B, T, "),
    (rebuilt, "backbone", "initial_state", [], r"\[\]: it must return a tuple of tensors"),
    (evaluated, "data", "batches", None, "None: it must return an iterator of Batches"),
    (evaluated, "data", "batches", [torch.ones(2)], r"Tensor \(2,\): it must return an iterator"),
    (rebuilt, "data", "expected_spec", {}, r"dict {}: it must return a DataSpec"),
    (rebuilt, "data", "splits", ["train"], r"\[str 'train'\]: it must return the number of examples of each split"),
    (counted, "data", "num_batches", 2.5, "float 2.5: it must return an integer"),
    (measured, "data", "survey", {"examples": 5}, r"dict .*: it must return a Survey or None"),
]


@pytest.mark.parametrize(("use", "name", "method", "result", "message"), PARTS)
def test_other_parts(
    use: Callable,
    name: str,
    method: str,
    result: Any,
    message: str,
    tagging: tuple[Model, seqzoo.DataModule],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, data = tagging
    part = data if name == "data" else getattr(model, name)
    optional = method == "candidates"
    monkeypatch.setattr(type(part), method, lambda self, *arguments: result, raising=not optional)
    with pytest.raises(PartError, match=rf"{type(part).__name__}.{method} {HERE} returned .*{message}"):
        use(model, data)


CAPABILITIES: dict[str, tuple[Any, str, Callable[[Loaded], object]]] = {
    "stream": ("a", "str 'a': it must return a Prediction", lambda run: run.generate("the cat", print)),
    "score_answers": (
        [[0.5]] * 2, r"\[\[float 0.5\], .*: it must return 2 lists of TokenScores", lambda run: run.score(TEXTS, TEXTS),
    ),
    "alignments": (
        [None] * 2, r"\[None, None\]: it must return a list of 2 Alignments", lambda run: run.alignments(TEXTS),
    ),
    "explain": ([[], []], r"\[\[\], \[\]\]: it must return 2 lists of Explanations", lambda run: run.explain(TEXTS)),
}  # fmt: skip
TEXTS = ["a", "b"]


@pytest.mark.parametrize("method", CAPABILITIES)
def test_capabilities(method: str, tagging: tuple[Model, seqzoo.DataModule], monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tagging
    result, message, use = CAPABILITIES[method]

    def wrong(self: seqzoo.Task, *arguments: Any) -> Any:
        return result

    members = {"alignment_needs": "more", "explanation_needs": "more", "candidates": wrong, method: wrong}
    monkeypatch.setattr(model.task, "__class__", type("Capable", (type(model.task),), members))
    with pytest.raises(PartError, match=rf"Capable.{method} {HERE} returned {message}"):
        use(Loaded(model, data.spec))


def test_data_without_a_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GrammarTags, "load", lambda self, spec=None: None)
    with pytest.raises(PartError, match=rf"GrammarTags.load {HERE} does not set self.spec to a DataSpec"):
        seqzoo.build(*TINY)


WRONG_READS: list[tuple[str, str, Any, str]] = [
    ("task=tagging", "GrammarTags", None, 'None: it must return a dict such as {"train": '),
    (
        "task=tagging",
        "GrammarTags",
        {"train": "ab"},
        "str 'ab': it must return a list of Examples for each split; this",
    ),
    ("task=tagging", "GrammarTags", {"train": [("a", "b")]}, r"(str 'a', str 'b'): it must return Example(source, tar"),
    ("task=tagging", "GrammarTags", {"train": [Example("a", ["X"]), Example(3, "b")]}, "this was number 2 of 'train'"),
    ("task=tagging", "GrammarTags", {"train": [Example([3], ["b"])]}, "this was number 1 of 'train'"),
    ("task=language_modeling", "GrammarText", {"train": "ab"}, "str 'ab': it must return an iterable of texts"),
    ("task=polyphony", "ChordProgressions", {"train": [(1, 2)]}, "(int 1, int 2): it must return Pieces as"),
    ("task=transcription data=dial_tones", "DialTones", {}, "{}: it must return a pair, a dict of splits and their"),
    (
        "task=transcription data=dial_tones",
        "DialTones",
        ({"train": [1]}, 8000),
        "[int 1]: it must return recordings as",
    ),
    ("task=captioning", "Shapes", {"train": [1]}, "[int 1]: it must return a Captioned for each split"),
]


@pytest.mark.parametrize(("task", "name", "result", "told"), WRONG_READS, ids=lambda value: str(value)[:40])
def test_what_data_read(task: str, name: str, result: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = next(
        kind for kind in (GrammarTags, GrammarText, ChordProgressions, Shapes, DialTones) if kind.__name__ == name
    )
    monkeypatch.setattr(kind, "read", lambda *_: result)
    with pytest.raises(PartError, match=rf"{name}.read {HERE} returned .*{re.escape(told)}"):
        seqzoo.build(*task.split())


def test_a_metric(tagging: tuple[Model, seqzoo.DataModule], monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tagging
    kind = type(model.task.metrics()[0])
    monkeypatch.setattr(kind, "compute", lambda self: "high")
    with pytest.raises(PartError, match=rf"{kind.__name__}.compute {HERE} returned str 'high': it must return a float"):
        evaluated(model, data)


class Needy(PredictionMetric):
    name = "needy"

    def __init__(self, size: int):
        self.size = size


class Counting(Constraint):
    def __init__(self, batch: seqzoo.Batch):
        self.rows = batch.size

    def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
        return log_probabilities

    def wanted(self, row: int) -> str:
        return ""


class SameAsLoss(PredictionMetric):
    name = "loss_nats"


class Unnamed(PredictionMetric):
    pass


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ([SameAsLoss], "the metric SameAsLoss with the name 'loss_nats', which is that of the mean loss: rename it"),
        ([Unnamed], "the metric Unnamed without a name: give its class one, name = ..."),
        (
            ["accuracy", "accuracy"],
            "the metric .* and another one with the name 'accuracy': rename one, or leave it out",
        ),
    ],
)
def test_metrics_that_would_replace_another_score(
    metrics: list, told: str, tagging: tuple[Model, seqzoo.DataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = tagging
    monkeypatch.setattr(type(model.task), "metrics", lambda self: [create_metric(metric) for metric in metrics])
    with pytest.raises(PartError, match=rf"metrics {HERE} returned {told}"):
        evaluated(model, data)
    monkeypatch.setattr(type(model.task), "metrics", lambda self: [create_metric("loss_nats")])
    assert evaluated(model, data)["loss_nats"] > 0


def test_classes_with_other_constructors() -> None:
    with pytest.raises(
        PartError, match=r"Needy must be constructible as Needy\(\): missing a required argument: 'size'"
    ):
        create_metric(Needy)
    with pytest.raises(PartError, match=r"Counting must be constructible as Counting\(batch, spec\): too many"):
        form_of(
            seqzoo.Batch(torch.ones(2, 3), torch.tensor([3, 2])),
            seqzoo.DataSpec("transduction", 9, 9),
            Search(constraints=[Counting]),
            True,
        )


@pytest.mark.parametrize(
    ("method", "result", "message"),
    [
        ("wanted", None, "None: it must return a text"),
        ("amount", "a", "str 'a': it must return an integer"),
        ("banks", torch.ones(2), r"Tensor \(2,\): it must return Tensor \(3, 4\)"),
    ],
)
def test_a_constraint(method: str, result: Any, message: str) -> None:
    def wrong(self: Constraint, *arguments: Any) -> Any:
        return result

    constraint = type("Wrong", (Counting,), {method: property(wrong) if method == "amount" else wrong})
    checked = Checked(constraint(seqzoo.Batch(torch.ones(2, 3), torch.tensor([3, 2]))))
    use = {
        "wanted": lambda: checked.wanted(0),
        "amount": lambda: checked.amount,
        "banks": lambda: checked.banks(torch.ones(3, 1), torch.arange(3), 4),
    }
    with pytest.raises(PartError, match=rf"Wrong.{method} {HERE} returned {message}"):
        use[method]()


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
