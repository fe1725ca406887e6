"""The loop: what is interrupted continues bit for bit, what is accumulated equals one batch, what is not finite
stops.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import compose
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, TrainingError
from seqzoo.contracts.spec import DataSpec
from seqzoo.runs import lifecycle as runs
from seqzoo.training import loop, stopwatch, validation
from seqzoo.training.evaluation import decoded_examples
from seqzoo.training.prefetch import on_device
from seqzoo.training.record.checkpoint import load_training
from seqzoo.training.record.files import BEST, CURVES, LAST, read_curves
from seqzoo.training.session import Position, Session

TASKS = ["transduction", "classification", "tagging", "language_modeling"]


def tiny(task: str, *more: str) -> dict:
    """Dropout, several epochs, and an end in the middle of an epoch."""
    small = ["data.train_size=200", "data.validation_size=60", "data.test_size=60"]
    dropout = "task.decoder.dropout=0.2" if task in ("transduction", "captioning") else "task.dropout=0.2"
    return compose(
        f"task={task}", *small, "debug=tiny", "backbone=deep", dropout, "data.limit=160",
        "training.steps=20", "training.validate_every=10", "training.log_every=5", *more,
    )  # fmt: skip


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int, signal_number: int = signal.SIGINT) -> None:
    """Send a signal to this process during update `number`."""
    original, calls = loop.update, []

    def update(*arguments):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal_number)
        return original(*arguments)

    monkeypatch.setattr(loop, "update", update)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_training(folder / LAST)["model"]


AVERAGES = [
    ["training.average=ema"], ["training.average=swa", "training.average_from=0.3"],
    # so high a rate that validation soon gets worse
    [
        "training.average=nt_asgd", "training.nonmonotone=1", "training.validate_every=1", "training.learning_rate=1.0",
        "training.diagnostics=0", "training.examples=0", "training.steps=18",
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [*([task] for task in TASKS), ["language_modeling", "task.ngrams=3"], *(["tagging", *a] for a in AVERAGES)],
    ids=str,
)
def test_a_resumed_run_ends_as_the_uninterrupted_one(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, *more = overrides
    config = tiny(task, *more)
    whole = runs.start(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 13, signal.SIGTERM)
        with pytest.raises(loop.Stopped):
            runs.start(config, tmp_path / "cut")
    stopped = load_training(tmp_path / "cut" / LAST)
    assert stopped["position"]["step"] == 13
    assert stopped["position"]["batch"] > 0, "the cut must lie inside an epoch"
    assert (stopped["state"] is not None) == (task == "language_modeling")
    assert stopped["averaging"]["started"] == (more in AVERAGES), "the cut must lie inside an average"
    resumed = runs.resume(tmp_path / "cut", [])
    for split in ("train", "validation", "test"):
        assert resumed[split] == whole[split]
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(tensor, weights(tmp_path / "cut")[name]), name
    best = [load_file(tmp_path / name / BEST) for name in ("whole", "cut")]
    assert all(torch.equal(tensor, best[1][name]) for name, tensor in best[0].items())


def test_an_epoch_begins_without_the_state_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, begun = loop.update, []

    def update(of: Session, group: list[Batch], stateful: bool) -> torch.Tensor:
        begun.append((of.position.epoch, of.position.batch == 0, of.state is None))
        return original(of, group, stateful)

    monkeypatch.setattr(loop, "update", update)
    runs.start(tiny("language_modeling", "training.validate_every=30", "training.diagnostics=0"), tmp_path / "run")
    assert {epoch for epoch, *_ in begun} >= {0, 1}
    assert all(first == fresh for _, first, fresh in begun)


def test_a_run_killed_before_its_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    config = tiny("tagging")
    whole = runs.start(config, tmp_path / "whole")
    runs.Run.create(tmp_path / "cut", config.to_plain())
    assert runs.resume(tmp_path / "cut", [])["test"] == whole["test"]


def test_a_continued_run_keeps_the_points_up_to_its_checkpoint(tmp_path: Path) -> None:
    run = runs.Run.create(tmp_path / "run", tiny("tagging").to_plain())
    points = [{"step": step, "train/loss": 1.0 / step} for step in (5, 10, 15)]
    (tmp_path / "run" / CURVES).write_text("".join(json.dumps(point) + "\n" for point in points))
    run.forget_after(10)
    assert read_curves(tmp_path / "run") == points[:2]
    run.close()


def test_a_later_end_continues_a_finished_run(tmp_path: Path) -> None:
    config = tiny("tagging", "training.schedule=constant")
    runs.start(config, tmp_path / "run")
    longer = runs.resume(tmp_path / "run", ["training.steps=40"])
    assert longer["updates"] == 40
    assert longer["cpu_seconds"] > 0
    assert json.loads((tmp_path / "run/metrics.json").read_text())["updates"] == 40


def test_another_setting_is_refused_and_named(tmp_path: Path) -> None:
    runs.start(tiny("tagging"), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"training.learning_rate is 0.\d+ in the run and 0.5 now") as caught:
        runs.resume(tmp_path / "run", ["training.learning_rate=0.5", "cell=gru", "training.steps=50"])
    assert any("cell is 'lstm' in the run and 'gru' now" in mistake for mistake in caught.value.mistakes)


class FixedBatches(DataModule):
    """Classify the sign of a sum of random features; the batches have a given number of rows."""

    def __init__(self, rows: int):
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randint(2, 9, (16, 5), generator=generator)
        self.targets = (self.inputs.sum(1) > 25).long()
        self.rows = rows
        self.spec = DataSpec("classification", 10, 2)

    def splits(self) -> dict[str, int]:
        return {"train": 16, "validation": 16}

    def num_batches(self, split: str, epoch: int = 0) -> int:
        return 16 // self.rows

    def batches(self, split: str, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        for first in range(start * self.rows, 16, self.rows):
            rows = slice(first, first + self.rows)
            yield Batch(self.inputs[rows], torch.full((self.rows,), 5), self.targets[rows], padded=False)


def session(*overrides: str, steps: int = 3) -> Session:
    config = compose("task=classification", "backbone.hidden_size=8", "training.threads=1", *overrides)
    torch.manual_seed(0)
    model = build_model(config, DataSpec("classification", 10, 2))
    return Session(model, config.training, torch.device("cpu"), total_steps=steps)


def run_updates(of: Session, data: FixedBatches, updates: int = 3) -> dict[str, torch.Tensor]:
    groups = loop.in_groups(data.batches("train"), of.settings.accumulate)
    for _ in range(updates):
        loop.update(of, next(groups), stateful=False)
        of.position.step += 1
    return of.model.state_dict()


def updates_of(device: str, *overrides: str) -> Iterator[Callable[[], object]]:
    """Updates of a tiny model, to be called."""
    config = tiny(*overrides)
    data = build_data(config)
    data.load()
    of = Session(build_model(config, data.spec), config.training, torch.device(device), total_steps=100)
    groups = loop.in_groups(data.batches("train"), of.settings.accumulate)
    for group, _ in on_device(groups, of.device):
        yield partial(loop.update, of, group, data.stateful)


class MovedBetweenDevices(TorchDispatchMode):
    """Fails where an operation reads from the host and writes to a device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read, written = (
            {part.device.type for part in tree_leaves(tree) if isinstance(part, torch.Tensor)}
            for tree in ((args, kwargs), result)
        )
        assert not ("cpu" in read and "meta" in written), f"{func} copies from the host"
        return result


@pytest.mark.parametrize("overrides", [
    # trees are ordered by height on the host
    *([task] for task in names("task") if task not in ("cloze", "regression", "tree_classification")),
    ["cloze", "backbone=bidirectional"], ["regression", "data.steps=10"],
    ["tagging", "task.decoder=crf"], ["tagging", "cell.engine=reference"],
    ["classification", "task.pooling=[mean,max,attention]"], ["transduction", "task.decoder.attention=dot"],
], ids=str)  # fmt: skip
def test_an_update_reads_no_values_from_the_device(overrides: list[str]) -> None:
    """Tensors on the meta device have no values, so that reading one is an error."""
    # one layer, as operations on the meta device are slow; a second update with state from the first for two tasks
    config = (overrides[0], "backbone=unidirectional", *overrides[1:], "training.optimizer=rmsprop")
    number = 2 if overrides[0] in ("language_modeling", "tagging") else 1
    for update, _ in zip(updates_of("meta", *config), range(number), strict=False):
        with MovedBetweenDevices():
            update()


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_an_update_never_waits_for_a_gpu(task: str) -> None:
    for number, update in zip(range(4), updates_of("cuda", task), strict=False):
        torch.cuda.set_sync_debug_mode("error" if number else "default")  # kernels are made at the first one
        try:
            update()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_shown_examples_are_the_same_each_time_and_draw_nothing_from_the_training() -> None:
    config = tiny("language_modeling", "task.search.temperature=5")
    data = build_data(config)
    data.load()
    model, shown = build_model(config, data.spec), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        shown.append(decoded_examples(model, data, "validation", torch.device("cpu"), 3))
        assert torch.equal(torch.get_rng_state(), before)
    assert len(shown[0]) == 3
    assert shown[0] == shown[1]


def test_accumulated_equals_one_big_batch() -> None:
    big = run_updates(session("training.optimizer=sgd"), FixedBatches(4))
    small = run_updates(session("training.optimizer=sgd", "training.accumulate=4"), FixedBatches(1))
    for name in big:
        torch.testing.assert_close(small[name], big[name])


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("task", ["tagging", "language_modeling"])
def test_an_update_follows_the_gradient_of_the_mean_over_all_targets(task: str, accumulate: int) -> None:
    """Rows have several targets, and the batches of an update different numbers of them."""
    config = tiny(task, "backbone=unidirectional", "task.dropout=0", "encoder.dropout=0", "training.clip_norm=null")
    data = build_data(config)
    data.load()
    model = build_model(config, data.spec)
    settings = replace(
        config.training, optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant", warmup_steps=0,
        learning_rate=0.5,
    )  # fmt: skip
    of = Session(model, settings, torch.device("cpu"), total_steps=1)
    group = [
        batch.first(2 + 3 * number) for number, batch in zip(range(accumulate), data.batches("train"), strict=False)
    ]
    parameters = dict(model.named_parameters())
    losses = [model.task.loss(model(batch)[0], batch) for batch in group]
    count = sum(int(loss.count) for loss in losses)
    assert count == sum(int(batch.lengths.sum()) for batch in group) > sum(batch.size for batch in group)
    slopes = torch.autograd.grad(sum(loss.total for loss in losses), list(parameters.values()))
    expected = [value.detach() - 0.5 * slope / count for value, slope in zip(parameters.values(), slopes, strict=True)]
    norm = loop.update(of, group, stateful=False)
    for (name, value), right in zip(parameters.items(), expected, strict=True):
        torch.testing.assert_close(value.detach(), right, msg=lambda text, name=name: f"{name}: {text}")
    assert norm.item() == pytest.approx(torch.cat([slope.flatten() for slope in slopes]).norm().item() / count)
    assert of.mean_loss() == pytest.approx(sum(loss.total.item() for loss in losses) / count)


VALIDATIONS = {
    "more is better": ("tagging", "accuracy", [0.5, 0.7, 0.6], [2.0, 3.0, 1.0]),
    "less is better": ("language_modeling", "perplexity", [5.0, 3.0, 4.0], [2.0, 1.0, 1.5]),
    "the loss decides between equal scores": ("tagging", "accuracy", [0.5, 0.5, 0.5], [2.0, 1.0, 1.0]),
    "a score that is not a number is the worst": ("tagging", "accuracy", [float("nan"), 0.1, float("nan")], [1.0] * 3),
}


@pytest.mark.parametrize("case", VALIDATIONS)
def test_the_weights_of_the_best_validation_are_kept(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three validations with given scores, the second of which is the best."""
    task, metric, scores, losses = VALIDATIONS[case]
    given = iter([{metric: score, "loss_nats": loss} for score, loss in zip(scores, losses, strict=True)])
    at_update: dict[int, dict[str, torch.Tensor]] = {}

    def evaluate(model: torch.nn.Module, *_: object, **__: object) -> dict[str, float]:
        at_update[10 * len(at_update) + 10] = {name: value.clone() for name, value in model.state_dict().items()}
        return next(given)

    monkeypatch.setattr(validation, "evaluate", evaluate)
    metrics = runs.start(tiny(task, "training.steps=30", f"task.metrics=[{metric}]"), tmp_path / "run")
    assert list(at_update) == [10, 20, 30]
    assert metrics["best_update"] == 20
    for name, tensor in load_file(tmp_path / "run" / BEST).items():
        assert torch.equal(tensor, at_update[20][name]), name
    last = load_training(tmp_path / "run" / LAST)
    assert (last["position"]["best_step"], last["position"]["waited"]) == (20, 1)
    assert not all(torch.equal(tensor, at_update[20][name]) for name, tensor in last["model"].items())


def test_the_last_group_of_batches_may_be_smaller() -> None:
    groups = list(loop.in_groups(FixedBatches(4).batches("train"), 3))
    assert [len(group) for group in groups] == [3, 1]


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw", 0.02), ("adam", 0.02), ("sgd", 1.0), ("rmsprop", 0.02), ("adagrad", 0.05)]
)
def test_every_optimizer_lowers_the_loss(optimizer: str, rate: float) -> None:
    of = session(f"training.optimizer={optimizer}", "training.schedule=constant", f"training.learning_rate={rate}")
    data = FixedBatches(16)
    batch = next(data.batches("train"))
    before = of.model.task.loss(of.model(batch)[0], batch).total.item()
    for _ in range(15):
        loop.update(of, [batch], stateful=False)
    assert of.model.task.loss(of.model(batch)[0], batch).total.item() < 0.9 * before


def test_the_norm_is_measured_before_it_is_clipped() -> None:
    of, data = session("training.optimizer=sgd", "training.clip_norm=0.01", "training.weight_decay=0"), FixedBatches(16)
    before = {name: value.clone() for name, value in of.model.state_dict().items()}
    norm = loop.update(of, [next(data.batches("train"))], stateful=False)
    assert norm > 0.01
    moved = sum((value - before[name]).square().sum() for name, value in of.model.state_dict().items()).sqrt()
    assert moved.item() == pytest.approx(0.01 * of.settings.learning_rate, rel=0.02)


def test_the_logged_loss_is_the_mean_since_the_last_log_step() -> None:
    of, norm = session(), torch.ones(())
    for total, count in ((5.0, 2), (1.0, 1)):
        of.add_loss(torch.tensor(total), torch.tensor(count), norm)
    assert of.mean_loss() == 2.0
    of.add_loss(torch.tensor(10.0), torch.tensor(2), norm)
    assert of.mean_loss() == 5.0


def test_values_are_clipped() -> None:
    of = session(
        "training.optimizer=sgd",
        "training.clip_norm=null",
        "training.clip_value=1e-4",
        "training.weight_decay=0",
        "training.learning_rate=1.0",
    )
    before = {name: value.clone() for name, value in of.model.state_dict().items()}
    loop.update(of, [next(FixedBatches(16).batches("train"))], stateful=False)
    largest = max((value - before[name]).abs().max().item() for name, value in of.model.state_dict().items())
    assert largest <= 1e-4 * of.settings.learning_rate * 1.01


def test_a_batch_scales_the_learning_rate_of_its_update() -> None:
    of = session("training.optimizer=sgd", "training.schedule=constant", "training.accumulate=2")
    half, whole = (
        replace(batch, learning_rate_scale=scale)
        for batch, scale in zip(FixedBatches(8).batches("train"), (0.5, 1.0), strict=True)
    )
    before = {name: value.clone() for name, value in of.model.state_dict().items()}
    loop.update(of, [half, whole.first(8)], stateful=False)
    other = session("training.optimizer=sgd", "training.schedule=constant")
    loop.update(other, [next(FixedBatches(16).batches("train"))], stateful=False)
    for name, value in other.model.state_dict().items():
        torch.testing.assert_close(of.model.state_dict()[name], torch.lerp(before[name], value, 0.75))


def test_a_non_finite_loss_stops_training_and_names_the_update() -> None:
    of = session()
    run_updates(of, FixedBatches(4), 2)
    with torch.no_grad():
        of.model.backbone.layers[0][0].weight_hh.fill_(float("nan"))
    for _ in range(2):
        loop.update(of, [next(FixedBatches(4).batches("train"))], stateful=False)
        of.position.step += 1
    with pytest.raises(TrainingError, match=r"since update 2 .*backbone.layers.0.0.weight_hh"):
        of.check_finite()


@pytest.mark.parametrize("part", ["inputs", "targets", "inputs and targets"])
def test_non_finite_inputs_are_reported_as_such(part: str) -> None:
    config = compose("task=regression", "data=adding", "backbone.hidden_size=8", "cell.engine=reference")
    of = Session(build_model(config, DataSpec("regression", 2, 1)), config.training, torch.device("cpu"), total_steps=3)
    for step in range(3):
        batch = Batch(torch.rand(4, 5, 2), torch.full((4,), 5), torch.rand(4, 1), padded=False)
        for name in part.split(" and ") if step == 1 else []:
            getattr(batch, name)[2, 0] = float("inf")
        loop.update(of, [batch], stateful=False)
        of.position.step += 1
    with pytest.raises(TrainingError, match=f"^the {part} of update 1 hold NaN or infinity .*: correct the data;"):
        of.check_finite()


def test_a_non_finite_first_loss_is_not_blamed_on_the_learning_rate() -> None:
    of = session()
    with torch.no_grad():
        of.model.backbone.layers[0][0].weight_hh.fill_(float("nan"))
    loop.update(of, [next(FixedBatches(4).batches("train"))], stateful=False)
    with pytest.raises(TrainingError, match=r"since update 0 .*: check the cell") as caught:
        of.check_finite()
    assert "learning_rate" not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_nothing_is_saved_after_a_non_finite_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = loop.update

    def update(of: Session, *rest):
        if of.position.step == 12:
            with torch.no_grad():
                next(of.model.parameters()).fill_(float("nan"))
        return original(of, *rest)

    monkeypatch.setattr(loop, "update", update)
    with pytest.raises(TrainingError, match="since update 12"):
        runs.start(tiny("tagging", "training.save_every=0"), tmp_path / "run")
    saved = load_training(tmp_path / "run" / LAST)
    assert saved["position"]["step"] == 12
    assert all(torch.isfinite(tensor).all() for tensor in saved["model"].values())


def test_patience_ends_a_training(tmp_path: Path) -> None:
    metrics = runs.start(
        tiny("tagging", "training.patience=2", "training.learning_rate=0.0", "training.validate_every=3"),
        tmp_path / "run",
    )
    assert metrics["updates"] == 9
    assert metrics["best_update"] == 3
    with pytest.raises(Exception, match="has finished"):
        runs.resume(tmp_path / "run", [])


def test_a_second_signal_acts_at_once() -> None:
    # a shell starts what runs in the background with this signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with loop.StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.received == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("device", "counted"), [("cpu", 4.0), ("cuda", 10.0)])
def test_cpu_time_of_other_programs_does_not_count_towards_the_budget(device: str, counted: float, monkeypatch) -> None:
    """The process had the CPU for four of ten seconds; on a GPU, wall-clock time counts."""
    wall, worked = iter((0.0, 10.0)), iter((0.0, 4.0))
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: next(wall))
    monkeypatch.setattr(stopwatch.time, "process_time", lambda: next(worked))
    position = Position()
    assert stopwatch.Stopwatch(position, torch.device(device)).lap(loop.StopSignals()) == counted
    assert (position.seconds, position.cpu_seconds) == (10.0, 4.0)
